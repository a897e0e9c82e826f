package unicorn

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStateIsTheStructOfC(t *testing.T) {
	fields, size := stateLayout()
	typ := reflect.TypeFor[State]()
	require.Equal(t, size, typ.Size())
	require.Len(t, fields, typ.NumField())
	for f := range typ.Fields() {
		require.Equal(t, fields[f.Name], place{f.Offset, f.Type.Size()}, f.Name)
	}
}

// A field of one that is missing in the other would be one of these.
func TestStateHasNoHoles(t *testing.T) {
	at := uintptr(0)
	for f := range reflect.TypeFor[State]().Fields() {
		require.Equal(t, at, f.Offset, f.Name)
		at += f.Type.Size()
	}
}
