package weights_test

import (
	"bytes"
	"fmt"

	"github.com/smalti/smalti/weights"
)

// A model package walks its table of names and shapes; Done says how the file differs from it.
func ExampleLoader() {
	var file bytes.Buffer
	err := weights.WriteSafetensors(&file, nil, []weights.Out{
		{Name: "proj.weight", DType: weights.F16, Shape: []int{2, 2}, Floats: []float32{1, 2, 3, 4}},
		{Name: "loss.weight", DType: weights.F32, Shape: []int{1}, Floats: []float32{0}},
		{Name: "proj.scale", DType: weights.F32, Shape: []int{1}, Floats: []float32{9}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := weights.OpenBytes(file.Bytes())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()

	l := weights.NewLoader(f)
	l.Skip("loss.")
	proj := l.Sub("proj.")
	w, err := proj.Take("weight", 2, 2)
	fmt.Println(w, err)
	if _, err := proj.Take("bias", 2); err != nil {
		fmt.Println(err)
	}
	fmt.Println(l.Done())
	// Output:
	// [1 2 3 4] <nil>
	// tensor "proj.bias": tensor is missing
	// weights do not fit the model: tensors 1 missing (proj.bias); 1 left over (proj.scale)
}
