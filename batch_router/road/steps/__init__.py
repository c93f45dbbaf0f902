"""The steps of the road, one file each."""
