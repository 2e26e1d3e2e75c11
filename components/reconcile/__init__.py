"""Stock reconciliation: which bins should a person recount first?"""
