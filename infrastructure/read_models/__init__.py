"""The engine of the read side: folds the log into tables, answers queries, builds anew."""
