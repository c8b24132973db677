"""Mending the history's money: new prices for calls that are on record already."""
