using TorchSharp;

namespace FlowMM.Model.Weights;

/// <summary>
/// The rows of matrices that lie one above the other, read where the files are mapped, whenever and by whichever thread asks: for those who lay
/// them out anew and need no tensor of them.
/// </summary>
internal sealed unsafe class WeightRows(IReadOnlyList<WeightPart> parts, int width, Action<string, long> read)
{
    /// <summary>Rows of all parts.</summary>
    public int Count { get; } = parts.Sum(p => p.Rows);

    /// <summary>Values of a row.</summary>
    public int Width => width;

    /// <summary>Copies rows, widened to f32, and gives the map's pages behind them back.</summary>
    /// <param name="first">First row.</param>
    /// <param name="count">Rows; all are there.</param>
    /// <param name="to">[count][width].</param>
    public void Read(int first, int count, float* to)
    {
        int start = 0;
        foreach (WeightPart part in parts)
        {
            int from = Math.Max(first, start), end = Math.Min(first + count, start + part.Rows);
            if (from < end)
            {
                Span<float> rows = new(to + ((long)(from - first) * width), (end - from) * width);
                part.File.Read(part.Name, ((long)part.FirstRow + from - start) * width, rows);
                read(part.Name, (long)rows.Length * part.File.TypeOf(part.Name).ElementSize());
            }

            start += part.Rows;
        }
    }
}

/// <summary>Some rows of a tensor of the files, its shape and type checked.</summary>
/// <param name="File">The file that holds it.</param>
/// <param name="Name">The tensor.</param>
/// <param name="FirstRow">The first row that is meant.</param>
/// <param name="Rows">How many.</param>
internal sealed record WeightPart(SafeTensorsFile File, string Name, int FirstRow, int Rows);
