package tracefs

// TypeNames are the names of all types, for tests.
func TypeNames() (names []string) {
	for i := range fetchTypes {
		names = append(names, fetchTypes[i].name)
	}
	return names
}
