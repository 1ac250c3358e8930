"""What every request goes through: the worker that serves it, who may send it, its body and its answer."""
