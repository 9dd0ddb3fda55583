"""The two stores: memory for speed, rocksdict for more customers than fit into memory."""
