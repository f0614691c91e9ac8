namespace FlowMM.Model.Kernels;

/// <summary>The kernels of one register width. All of them leave results that depend on their own row alone, never on what else is computed.</summary>
internal abstract unsafe class Kernels
{
    /// <summary>Rows of inputs that a product takes at once: their part of one depth fills half an L2 cache.</summary>
    protected const int RowBlock = 480;

    /// <summary>f32 values that a call may use beside its operands.</summary>
    public const int ScratchLength = (Panel.Depth * Panel.Rows) + (2 * RowBlock * Panel.Rows);

    /// <summary>The kernels of a path that runs here.</summary>
    /// <exception cref="PlatformNotSupportedException">This processor cannot.</exception>
    public static Kernels For(KernelPath path) => !KernelPaths.Available.Contains(path)
        ? throw new PlatformNotSupportedException($"This processor has no {path}.")
        : path switch
        {
            KernelPath.Avx512 => new Kernels<Lanes512>(),
            KernelPath.Avx2 => new Kernels<Lanes256>(),
            _ => new Kernels<LanesPortable>(),
        };

    /// <summary>Computes some panels' rows of a product.</summary>
    /// <param name="product">What.</param>
    /// <param name="first">First panel.</param>
    /// <param name="end">One after the last.</param>
    /// <param name="scratch"><see cref="ScratchLength"/> values that nobody else uses.</param>
    public abstract void Multiply(in Product product, int first, int end, float* scratch);

    /// <summary>silu(x G^T) * (x U^T) for some panels: the gate's outputs never leave the cache.</summary>
    /// <param name="gate">The gate; its outputs become the result.</param>
    /// <param name="up">A matrix of the same size; its outputs are unused.</param>
    /// <param name="first">First panel.</param>
    /// <param name="end">One after the last.</param>
    /// <param name="scratch"><see cref="ScratchLength"/> values that nobody else uses.</param>
    public abstract void GateUp(in Product gate, in Product up, int first, int end, float* scratch);

    /// <summary>Rounds a row of inputs to 16-bit numbers with a scale for each group, for int8 weights.</summary>
    /// <param name="x">[inputs].</param>
    /// <param name="inputs">At least 1.</param>
    /// <param name="numbers">[groups * 64], written; what is beyond the inputs becomes 0.</param>
    /// <param name="scales">[groups], written.</param>
    public abstract void Round(float* x, int inputs, short* numbers, float* scales);

    /// <summary>x / sqrt(mean(x^2) + eps) * w.</summary>
    public abstract void Norm(float* x, float* weight, int width, float epsilon, float* y);

    /// <summary>Turns a head: x cos + (x2, x1) sin, the sign being in the sines. May not be done in place.</summary>
    public abstract void Turn(float* x, float* cos, float* sin, int width, float* y);

    /// <summary>Attention of a group's queries over a run of a KV head's entries; see <see cref="AttentionRun"/>.</summary>
    public abstract void Attend(in AttentionRun run);

    /// <summary>Joins the parts of one query that runs have left, in their order, to its output.</summary>
    /// <param name="parts">Runs of it; each [D] of sums, then maximum and weight.</param>
    /// <param name="stride">From one part to the next.</param>
    /// <param name="count">Parts.</param>
    /// <param name="width">D.</param>
    /// <param name="output">[D].</param>
    public abstract void Join(float* parts, long stride, int count, int width, float* output);
}
