package cpu

import (
	"fmt"
	"maps"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/notimplemented"
	"github.com/gomlx/compute/shapes"
	"github.com/pkg/errors"

	"github.com/smalti/smalti/engine/cpu/kernel"
	"github.com/smalti/smalti/engine/cpu/pool"
)

// Name is the name of the backend.
const Name = "cpu"

// Options choose how the backend runs. The zero value uses every processor and the best kernels.
type Options struct {
	Threads int    // workers inside an operation; 0 means one for each processor
	Class   string // class of kernels (kernel.ParseClass); empty means the best that this machine has

	Precision string // of products: F32 or Mixed; empty means F32
	LowMemory bool   // keep few derived forms of weights

	// Bands computes maps of more than so many bytes band by band, each of about so many bytes (pass.Bands), and keeps little
	// for a second part (pass.Segments); 0 means never. No byte of a result depends on it.
	Bands int
}

// Backend implements compute.Backend. It is safe for concurrent use.
type Backend struct {
	notimplemented.Backend

	set     *kernel.Set
	pool    *pool.Pool
	threads int
	mixed   bool // products of mixedTable are computed in bfloat16
	bands   int  // Options.Bands
	plain   bool // tests only: patterns of several operations are not looked for
	memory  recycler

	recompute int // bytes alive at a time from which on a graph is made to keep less (pass.LessKept)
	closed    atomic.Bool

	mu        sync.Mutex
	fallbacks map[string]int
	profile   *Profile
}

var _ compute.Backend = (*Backend)(nil)

// New starts a backend.
func New(o Options) (*Backend, error) {
	if o.Threads < 0 {
		return nil, fmt.Errorf("cpu: %d threads", o.Threads)
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	class := kernel.Detect()
	if o.Class != "" {
		c, err := kernel.ParseClass(o.Class)
		if err != nil {
			return nil, fmt.Errorf("cpu: %w", err)
		}
		if c > class {
			return nil, fmt.Errorf("cpu: this machine cannot run kernels of class %s, only up to %s", c, class)
		}
		class = c
	}
	set := kernel.For(class)
	switch {
	case o.Precision != "" && o.Precision != F32 && o.Precision != Mixed:
		return nil, fmt.Errorf("cpu: %w: %q is none of %s, %s", ErrPrecision, o.Precision, F32, Mixed)
	case o.Precision == Mixed && !set.HasBF16():
		return nil, fmt.Errorf("cpu: %w: %s needs kernels that multiply bfloat16, which class %s has not", ErrPrecision, Mixed, class)
	}
	x := &Backend{set: set, mixed: o.Precision == Mixed, bands: o.Bands, pool: pool.New(o.Threads), threads: o.Threads,
		recompute: 1 << 20, fallbacks: map[string]int{}}
	m := &x.memory
	m.keep, m.winograd.most, m.packs.most = keepBytes, winogradBytes, math.MaxInt64
	if o.LowMemory {
		m.keep, m.winograd.most, m.packs.most = keepLowBytes, 0, lowPackBytes
	}
	return x, nil
}

// Name implements compute.Backend.
func (b *Backend) Name() string { return Name }

// String implements compute.Backend.
func (b *Backend) String() string { return Name }

// Description says which kernels run and on how many threads.
func (b *Backend) Description() string {
	return fmt.Sprintf("smalti CPU backend, class %s, %d threads", b.set.Class(), b.threads)
}

// Kernels says which kernels are in use.
func (b *Backend) Kernels() string { return b.set.String() }

// Features lists the CPU's extensions that kernels are made for.
func Features() []string { return kernel.Features() }

// Class is the class of kernels in use.
func (b *Backend) Class() string { return b.set.Class().String() }

// Precision is F32 or Mixed.
func (b *Backend) Precision() string {
	if b.mixed {
		return Mixed
	}
	return F32
}

// Threads is the number of workers.
func (b *Backend) Threads() int { return b.threads }

// NumDevices implements compute.Backend.
func (b *Backend) NumDevices() int { return 1 }

// DeviceDescription implements compute.Backend.
func (b *Backend) DeviceDescription(compute.DeviceNum) string { return b.Description() }

// Builder implements compute.Backend.
func (b *Backend) Builder(name string) compute.Builder { return newBuilder(b, name) }

// Finalize stops the workers. Buffers and executables of the backend must not be used after it.
func (b *Backend) Finalize() {
	if b.closed.CompareAndSwap(false, true) {
		b.pool.Close()
		b.memory.drop()
	}
}

// IsFinalized implements compute.Backend.
func (b *Backend) IsFinalized() bool { return b.closed.Load() }

// Fallbacks returns how many operations were compiled for GoMLX's Go backend because this one lacks them, by name.
func (b *Backend) Fallbacks() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.fallbacks)
}

func (b *Backend) countFallback(name string) {
	b.mu.Lock()
	b.fallbacks[name]++
	b.mu.Unlock()
}

// Capabilities implements compute.Backend: every operation of the interface but those of refusedOps.
func (b *Backend) Capabilities() compute.Capabilities {
	c := compute.Capabilities{Operations: map[compute.OpType]bool{}, Functions: true, DTypes: map[dtypes.DType]bool{}}
	for op := compute.OpTypeInvalid + 1; op < compute.OpTypeLast; op++ {
		if _, refused := refusedOps[op]; !refused {
			c.Operations[op] = true
		}
	}
	if b.plain {
		delete(c.Operations, compute.OpTypeFusedScaledDotProductAttention)
		delete(c.Operations, compute.OpTypeFusedScaledDotProductAttentionVJP)
	}
	for _, d := range supported {
		c.DTypes[d] = true
	}
	return c
}

var supported = []dtypes.DType{dtypes.Bool, dtypes.Int8, dtypes.Int16, dtypes.Int32, dtypes.Int64, dtypes.Uint8, dtypes.Uint16,
	dtypes.Uint32, dtypes.Uint64, dtypes.Float16, dtypes.BFloat16, dtypes.Float32, dtypes.Float64}

// refusedOps are not offered, and why.
var refusedOps = map[compute.OpType]string{
	compute.OpTypeFusedSoftmax: decomposed, compute.OpTypeFusedLayerNorm: decomposed, compute.OpTypeFusedGelu: decomposed, compute.OpTypeFusedDense: decomposed,
	compute.OpTypeFusedAttentionQKVProjection: decomposed,

	compute.OpTypeComplex: noComplex, compute.OpTypeConj: noComplex, compute.OpTypeFFT: noComplex,
	compute.OpTypeDynamicReshape: static, compute.OpTypeDynamicShape: static, compute.OpTypeDynamicDimensionSize: static,
	compute.OpTypeAllReduce: oneDevice, compute.OpTypeCollectiveBroadcast: oneDevice, compute.OpTypeAllGather: oneDevice,

	compute.OpTypeDot: noMethod, compute.OpTypeSelectAndScatterSum: noMethod, compute.OpTypeCapturedValue: noMethod, compute.OpTypeBlockForDotGeneral: noMethod,
}

const (
	decomposed = "GoMLX builds the decomposed twin too when it needs gradients; here it is recognised as a pattern instead"
	noComplex  = "complex numbers are not held"
	static     = "a graph is compiled for one shape"
	oneDevice  = "there is one device"
	noMethod   = "the interface has no such method"
)

func notImplemented(op compute.OpType) error {
	return errors.Wrapf(compute.ErrNotImplemented, "cpu backend: operation %s (%s)", op, refusedOps[op])
}

// checkShape refuses what the backend cannot hold.
func checkShape(s shapes.Shape) error {
	if s.IsDynamic() || s.IsTuple() {
		return errors.Wrapf(compute.ErrNotImplemented, "cpu backend: shape %s", s)
	}
	for _, d := range supported {
		if d == s.DType {
			return nil
		}
	}
	return errors.Wrapf(compute.ErrNotImplemented, "cpu backend: type %s", s.DType)
}
