"""The pages of docs/losses and docs/disagreements.md, made from the declarations."""
