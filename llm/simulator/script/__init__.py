"""How simulated models behave: built-in behaviours, the scripts of tests, and the requests that were seen."""
