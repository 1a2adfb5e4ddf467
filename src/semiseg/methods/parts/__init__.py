"""methods/parts"""
