"""The files that the station works with: policies and templates, Lambdas, Amazon's root CAs.

In a checkout they are links to the folders at its root, which people edit; a wheel has copies.
"""
