using System.Runtime.InteropServices;
using BenchmarkDotNet.Attributes;
using FlowMM.Model;
using FlowMM.Model.Kernels;

namespace FlowMM.Benchmarks;

/// <summary>
/// A decoding step's product with a matrix larger than every cache, on all processors: <c>dotnet run -c Release --project
/// tests/FlowMM.Benchmarks -- --filter *Kernel*</c>. The memory's own limit is the benchmark beside it.
/// </summary>
[Config(typeof(BandwidthConfig))]
public unsafe class KernelBenchmarks
{
    /// <summary>Rows and inputs of the matrix: a quarter of Qwen2.5-0.5B's head.</summary>
    internal const int Rows = 37984, Inputs = 896;

    private CpuCompute _compute = null!;
    private PackedMatrix _matrix = null!;
    private float* _x;
    private float* _y;
    private short* _numbers;
    private float* _scales;

    /// <summary>What the matrix is kept in.</summary>
    [Params(WeightType.F32, WeightType.Bf16, WeightType.Int8)]
    public WeightType Weights { get; set; }

    /// <summary>Sequences that decode side by side.</summary>
    [Params(1, 4, 8, 16)]
    public int Batch { get; set; }

    /// <summary>Packs a random matrix.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _compute = new CpuCompute(Weights, 0, KernelPaths.Available[^1]);
        int groups = Panel.Groups(Inputs);
        _matrix = PackedMatrix.Pack(Rows, Inputs, Weights, (first, count, to) =>
        {
            Random random = new(first);
            for (long i = 0; i < (long)count * Inputs; i++)
            {
                to[i] = random.NextSingle() - 0.5f;
            }
        });
        Random inputs = new(7);
        _x = Room(16 * Inputs);
        _y = Room(16L * Rows);
        _numbers = (short*)Room(16 * Inputs);
        _scales = Room(16 * groups);
        for (int i = 0; i < 16 * Inputs; i++)
        {
            _x[i] = inputs.NextSingle() - 0.5f;
        }

        for (int row = 0; row < 16; row++)
        {
            _compute.Kernels.Round(_x + (row * Inputs), Inputs, _numbers + (row * Inputs), _scales + (row * groups));
        }
    }

    /// <summary>y = x W^T.</summary>
    [Benchmark]
    public void Decode() => _compute.Multiply(new Product
    {
        Matrix = _matrix,
        X = _x,
        XStride = Inputs,
        Rows = Batch,
        Y = _y,
        YStride = Rows,
        Start = ProductStart.Zero,
        Decoding = true,
        Numbers = Weights == WeightType.Int8 ? _numbers : null,
        Scales = _scales,
    });

    /// <summary>Frees all.</summary>
    [GlobalCleanup]
    public void Cleanup()
    {
        _compute.Dispose();
        _matrix.Dispose();
        foreach (nint held in (Span<nint>)[(nint)_x, (nint)_y, (nint)_numbers, (nint)_scales])
        {
            NativeMemory.AlignedFree((void*)held);
        }
    }

    private static float* Room(long count) => (float*)NativeMemory.AlignedAlloc((nuint)count * sizeof(float), 64);
}
