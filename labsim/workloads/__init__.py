"""What clients and operators do while faults happen, drawn whole before a run."""
