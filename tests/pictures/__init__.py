"""`python -m tests.pictures` (`make pictures`): a picture of each dashboard, over a week of the demo platform."""
