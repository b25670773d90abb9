"""`ff-observe collector run|export|forget`: the receiving end of the ping. (Placeholder until merged.)"""

import argparse


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    commands.add_parser("collector", help="the receiving end of the ping")
