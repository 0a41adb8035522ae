"""Results become what a person looks at."""
