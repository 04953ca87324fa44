"""Tests of loadgen.realism."""
