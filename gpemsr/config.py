"""(being written) checks an option file before anything is built."""


def check_options(options, file, is_train):
    pass
