"""The stages of a run and the agent that supervises them."""
