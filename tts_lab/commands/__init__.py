"""What the commands of the command line do, one file each where it is more than a few lines."""
