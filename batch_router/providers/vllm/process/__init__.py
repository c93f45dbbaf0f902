"""Engine processes of this machine: started in a group with a guard, recorded, and ended without leftovers."""
