using System.Runtime.InteropServices;

namespace FlowMM.Model.Kernels;

/// <summary>Reads rows of a matrix as f32.</summary>
/// <param name="first">First row.</param>
/// <param name="count">Rows.</param>
/// <param name="to">[count][inputs], written.</param>
internal unsafe delegate void RowReader(int first, int count, float* to);

/// <summary>
/// A weight matrix [rows, inputs] laid out once in panels, in memory of its own. Every kernel reads it front to back. Disposed by its owner;
/// nothing may compute with it then.
/// </summary>
internal sealed unsafe partial class PackedMatrix : IDisposable
{
    private const int HugePage = 1 << 21;
    private const int AdviseHugePages = 14;

    private byte* _memory;

    private PackedMatrix(WeightType type, int rows, int inputs)
    {
        (Type, Rows, Inputs) = (type, rows, inputs);
        GroupBytes = type switch
        {
            WeightType.F32 => Float32Format.GroupBytes,
            WeightType.Bf16 => BFloat16Format.GroupBytes,
            _ => Int8Format.GroupBytes,
        };
        PanelBytes = (long)Panel.Groups(inputs) * GroupBytes;

        // A register's width more than the panels: see LanesPortable.Load.
        nuint bytes = (nuint)((Panels * PanelBytes) + 64);
        _memory = (byte*)NativeMemory.AlignedAlloc(bytes, bytes > HugePage ? (nuint)HugePage : 64);
        if (bytes > HugePage && OperatingSystem.IsLinux())
        {
            // A token reads every page of every matrix once: with 4 KiB pages their addresses alone cost time. Advice may be ignored.
            _ = Advise(_memory, bytes, AdviseHugePages);
        }
    }

    public WeightType Type { get; }

    public int Rows { get; }

    public int Inputs { get; }

    public int Panels => Panel.Count(Rows);

    /// <summary>Bytes of a group in every panel.</summary>
    public int GroupBytes { get; }

    public long PanelBytes { get; }

    /// <summary>All bytes that a product reads.</summary>
    public long Bytes => Panels * PanelBytes;

    /// <summary>An f32 matrix of zeros, whose pages are all there.</summary>
    public static PackedMatrix Zero(int rows, int inputs)
    {
        PackedMatrix zero = new(WeightType.F32, rows, inputs);
        NativeMemory.Clear(zero._memory, (nuint)zero.Bytes);
        return zero;
    }

    /// <summary>
    /// Lays a matrix out, on all processors, panel by panel: beside the result, each of them holds the rows of one panel and no more.
    /// </summary>
    /// <param name="rows">At least 1.</param>
    /// <param name="inputs">At least 1.</param>
    /// <param name="type">What to keep.</param>
    /// <param name="read">Reads rows; called by several threads at once.</param>
    public static PackedMatrix Pack(int rows, int inputs, WeightType type, RowReader read)
    {
        PackedMatrix packed = new(type, rows, inputs);
        try
        {
            Parallel.For(
                0,
                packed.Panels,
                () => (nint)NativeMemory.AlignedAlloc((nuint)Panel.Rows * (nuint)inputs * sizeof(float), 64),
                (panel, _, room) =>
                {
                    int first = panel * Panel.Rows, height = Math.Min(Panel.Rows, rows - first);
                    read(first, height, (float*)room);
                    packed.Fill(panel, (float*)room, height);
                    return room;
                },
                room => NativeMemory.AlignedFree((void*)room));
            return packed;
        }
        catch
        {
            packed.Dispose();
            throw;
        }
    }

    /// <summary>A panel's weights from an input on.</summary>
    /// <param name="panel">0 to <see cref="Panels"/> - 1.</param>
    /// <param name="input">A multiple of the group.</param>
    public byte* At(int panel, int input) => _memory + (panel * PanelBytes) + ((long)(input / Panel.Group) * GroupBytes);

    /// <summary>Copies a row out, as the kernels see it.</summary>
    /// <param name="row">0 to <see cref="Rows"/> - 1.</param>
    /// <param name="to"><see cref="Inputs"/> values.</param>
    public void Row(int row, float* to)
    {
        int within = row % Panel.Rows;
        for (int k = 0; k < Inputs; k++)
        {
            byte* group = At(row / Panel.Rows, k);
            to[k] = Type switch
            {
                WeightType.F32 => ((float*)group)[(k % Panel.Group * Panel.Rows) + within],
                WeightType.Bf16 => BFloat16Format.Value(group, k % Panel.Group, within),
                _ => Int8Format.Value(group, k % Panel.Group, within),
            };
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        NativeMemory.AlignedFree(_memory);
        _memory = null;
    }

    /// <summary>Lays the rows of one panel out: [height][inputs].</summary>
    private void Fill(int panel, float* rows, int height)
    {
        for (int group = 0; group < Panel.Groups(Inputs); group++)
        {
            byte* to = At(panel, group * Panel.Group);
            float* from = rows + (group * Panel.Group);
            int width = Math.Min(Panel.Group, Inputs - (group * Panel.Group));
            switch (Type)
            {
                case WeightType.F32:
                    Float32Format.Pack(to, from, Inputs, height, width);
                    break;
                case WeightType.Bf16:
                    BFloat16Format.Pack(to, from, Inputs, height, width);
                    break;
                default:
                    Int8Format.Pack(to, from, Inputs, height, width);
                    break;
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* start, nuint length, int advice);
}
