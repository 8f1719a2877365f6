package spec

import "testing"

func TestHeadOfAnyRecipe(t *testing.T) {
	j := Default()
	j.VQGAN.SHA256 = "abc"
	data, err := j.Encode()
	if err != nil {
		t.Fatal(err)
	}
	h, err := ReadHead(data)
	if err != nil || h.Kind != KindPaint || h.Schema != Schema || h.VQGAN.SHA256 != "abc" {
		t.Errorf("a job's head is %+v, %v", h, err)
	}
	h, err = ReadHead([]byte(`{"kind":"lab","schema":1,"vqgan":{"name":"x"},"whatever":[]}`))
	if err != nil || h.Kind != KindLab || h.VQGAN.Name != "x" {
		t.Errorf("another head is %+v, %v", h, err)
	}
	if _, err := ReadHead([]byte("no")); err == nil {
		t.Error("a recipe that is not JSON has a head")
	}
}
