package password

import (
	"strings"
	"testing"
)

func TestParamsValidate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		params Params
		want   string // part of the error; empty: valid
	}{
		{"default", DefaultParams, ""},
		{"least", Params{8, 1, 1}, ""},
		{"most", Params{1 << 20, 64, 64}, ""},
		{"zero", Params{}, "lanes are 0"},
		{"no passes", Params{19456, 0, 1}, "passes are 0"},
		{"too many passes", Params{19456, 65, 1}, "passes are 65"},
		{"no lanes", Params{19456, 2, 0}, "lanes are 0"},
		{"too many lanes", Params{19456, 2, 65}, "lanes are 65"},
		{"less than 8 KiB a lane", Params{31, 2, 4}, "here 32"},
		{"more than 1 GiB", Params{1<<20 + 1, 2, 1}, "at most 1048576"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.params.Validate()
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("got %v, want no error", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}
