"""What ε promises of a release and of a year of them, held in games against an attacker who knows all but one bit."""

from tests.attack.fleet_games import (
    a_release_with_noise,
    a_year_at_the_edge,
    a_year_with_noise,
    most_advantage,
    play,
)
from tests.pace import in_full


def test_one_release_takes_no_more_than_its_epsilon() -> None:
    played = play(a_release_with_noise(1.0), in_full(10_000, 40))
    assert played.epsilon <= 1.0


def test_a_year_of_releases_takes_no_more_than_the_budget() -> None:
    played = play(a_year_with_noise(1.0), in_full(1_000, 10))
    assert played.epsilon <= 1.0


def test_the_games_catch_noise_that_is_too_weak() -> None:
    """A game that never accuses would prove nothing: with hardly any noise, ε of 0.2 is not kept."""
    played = play(a_release_with_noise(0.2, weakened=400), 100)
    assert played.epsilon > 0.2
    assert played.advantage > most_advantage(0.2)


def test_without_noise_a_patient_attacker_with_addresses_wins() -> None:
    """As docs/collector.md says of rounding: this is what noise is for."""
    assert play(a_year_at_the_edge, 40).advantage == 1.0
