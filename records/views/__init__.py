"""The pages of the records app: they translate, services and querysets decide."""
