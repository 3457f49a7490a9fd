"""placeholder while building"""


def build_report(folder, results, compared, data):
    return ""
