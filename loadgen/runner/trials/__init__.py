"""Many runs one after another, to find the highest rate that keeps every threshold.

`search` says which rate is next, `trial` is one run of it, `find_rate` makes them and says what was found.
"""
