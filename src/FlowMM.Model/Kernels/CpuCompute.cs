using System.Runtime.InteropServices;

namespace FlowMM.Model.Kernels;

/// <summary>What one model computes with on the CPU: its threads, their kernels and a scratch for each. One pass at a time.</summary>
internal sealed unsafe class CpuCompute : IDisposable
{
    private readonly ProductWork _product;
    private readonly float*[] _scratch;

    /// <param name="weights">What matrices are kept in.</param>
    /// <param name="threads">Threads; 0: one a processor.</param>
    /// <param name="path">Registers to use.</param>
    public CpuCompute(WeightType weights, int threads, KernelPath path)
    {
        Weights = weights;
        Kernels = Kernels.For(path);
        Team = new WorkerTeam(threads > 0 ? threads : Environment.ProcessorCount);
        _product = new ProductWork(this);
        _scratch = new float*[Team.Size];
        for (int worker = 0; worker < _scratch.Length; worker++)
        {
            _scratch[worker] = (float*)NativeMemory.AlignedAlloc(Kernels.ScratchLength * sizeof(float), 64);
        }
    }

    public WeightType Weights { get; }

    public Kernels Kernels { get; }

    public WorkerTeam Team { get; }

    /// <summary>A worker's memory for what a kernel needs beside its operands.</summary>
    public float* Scratch(int worker) => _scratch[worker];

    /// <summary>Computes a product with all threads.</summary>
    public void Multiply(in Product product) => _product.Multiply(product);

    /// <summary>Computes silu(gate) * up with all threads; see <see cref="Kernels.GateUp"/>.</summary>
    public void GateUp(in Product gate, in Product up) => _product.GateUp(gate, up);

    /// <inheritdoc/>
    public void Dispose()
    {
        Team.Dispose();
        for (int worker = 0; worker < _scratch.Length; worker++)
        {
            NativeMemory.AlignedFree(_scratch[worker]);
            _scratch[worker] = null;
        }
    }

    /// <summary>Panels of a product, taken two by two by whoever is free: a thread that is held up holds up two panels.</summary>
    private sealed class ProductWork(CpuCompute compute) : ITeamWork
    {
        private const int Taken = 2;

        private Product _first;
        private Product _second;
        private bool _gated;
        private int _next;

        public void Multiply(in Product product)
        {
            (_first, _gated, _next) = (product, false, 0);
            compute.Team.Run(this);
        }

        public void GateUp(in Product gate, in Product up)
        {
            (_first, _second, _gated, _next) = (gate, up, true, 0);
            compute.Team.Run(this);
        }

        public void Run(WorkerTeam team, int worker)
        {
            int panels = _first.Matrix.Panels;
            for (int panel; (panel = Interlocked.Add(ref _next, Taken) - Taken) < panels;)
            {
                int end = Math.Min(panels, panel + Taken);
                if (_gated)
                {
                    compute.Kernels.GateUp(_first, _second, panel, end, compute.Scratch(worker));
                }
                else
                {
                    compute.Kernels.Multiply(_first, panel, end, compute.Scratch(worker));
                }
            }
        }
    }
}
