using System.Runtime.Intrinsics;

namespace FlowMM.KvCache;

/// <summary>
/// The arithmetic of 32 rows that look ahead, a tile of 32 queries at a time: logits, probabilities, outputs and what leaving each follower out
/// changes. Which queries share a tile depends on their place in the segment alone. Legend: n tokens in panels of 32, W head dim in panels.
/// </summary>
internal sealed unsafe class AheadBlock : IDisposable
{
    /// <summary>Rows of a block.</summary>
    internal const int Rows = 32;

    private const int Tile = 32;
    private const int Panel = TileKernels.Columns;
    private const int Lanes = RowKernels.Lanes;
    private const int Sinks = AheadWindow.Sinks;
    private const float LeastLeft = 1e-3f;

    private readonly AheadWindow _window;
    private readonly AheadQueries _queries;
    private readonly AlignedFloats _memory;
    private readonly (int Group, int Reach, int Length, int Width) _shape;
    private readonly float* _rows;
    private readonly float* _exps;
    private readonly float* _outputs;
    private readonly float* _products;
    private readonly float* _sinks;

    /// <summary>Takes scratch memory.</summary>
    internal AheadBlock(AheadWindow window, AheadQueries queries, (int Group, int Reach, int Length) shape)
    {
        (_window, _queries) = (window, queries);
        _shape = (shape.Group, shape.Reach, shape.Length, window.Width);
        long most = Tokens(shape.Reach);
        _memory = new AlignedFloats(Tile * ((2 * window.Width) + (2 * most) + Lanes));
        _rows = _memory.Data;
        _exps = _rows + (Tile * window.Width);
        _outputs = _exps + (Tile * most);
        _products = _outputs + (Tile * window.Width);
        _sinks = _products + (Tile * most);
    }

    /// <summary>Most tokens, in whole panels, that the rows of a block see beside the sinks.</summary>
    internal static int Tokens(int reach) => Rows + (2 * ((reach + Panel - 1) / Panel * Panel));

    /// <summary>The panel that the block's sums begin with.</summary>
    /// <param name="first">The block's first row, a multiple of 32.</param>
    /// <param name="reach">Neighbours to each side.</param>
    internal static int Start(int first, int reach) => Math.Max(0, first - reach) / Panel * Panel;

    /// <summary>Adds up squared changes of a KV head's rows from <paramref name="first"/> on.</summary>
    /// <param name="head">KV head.</param>
    /// <param name="first">A multiple of 32.</param>
    /// <param name="sums">[<see cref="Tokens"/>] from <see cref="Start"/> on; overwritten.</param>
    internal void Sum(int head, int first, float* sums)
    {
        int rows = Math.Min(Rows, _shape.Length - first);
        int start = Start(first, _shape.Reach);
        int tokens = Math.Min(_shape.Length, first + rows + _shape.Reach) - start;
        Span span = new(head, first, start, (tokens + Panel - 1) / Panel * Panel);
        new Span<float>(sums, Tokens(_shape.Reach)).Clear();
        for (int query = 0; query < rows * _shape.Group; query += Tile)
        {
            int count = Math.Min(Tile, (rows * _shape.Group) - query);
            Gather(span, query, count);
            Multiply(span, count);
            for (int i = 0; i < count; i++)
            {
                Add(span, i, Row(span, query + i), sums);
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();

    private int Row(Span span, int query) => span.First + (query / _shape.Group);

    /// <summary>Queries over the root of D, and zeros up to a whole tile of the kernel.</summary>
    private void Gather(Span span, int query, int count)
    {
        float root = (float)Math.Sqrt(_queries.Width);
        new Span<float>(_rows, Tile * _shape.Width).Clear();
        for (int i = 0; i < count; i++)
        {
            float* from = _queries.At(Row(span, query + i), (span.Head * _shape.Group) + ((query + i) % _shape.Group));
            RowKernels.Divide(from, root, _rows + (i * _shape.Width), _queries.Width);
        }

        int padded = TileKernels.Padded(count);
        for (int at = 0; at < span.Tokens; at += Panel)
        {
            TileKernels.Products(_rows, padded, _shape.Width, _window.Keys(span.Head, span.Start + at), _exps + at, span.Tokens);
        }

        for (int i = 0; i < count; i++)
        {
            Attend(span, i, Row(span, query + i));
        }
    }

    /// <summary>The row's exponentials over its neighbours, 0 elsewhere, and over the sinks before them; behind these 1 / their sum.</summary>
    private void Attend(Span span, int i, int row)
    {
        float* exps = _exps + ((long)i * span.Tokens);
        float* sinks = _sinks + (i * Lanes);
        int low = Math.Max(0, row - _shape.Reach);
        (int from, int to) = (low - span.Start, Math.Min(_shape.Length - 1, row + _shape.Reach) + 1 - span.Start);
        Vector512<float> largest = Vector512.Create(float.NegativeInfinity);
        for (int at = from / Lanes * Lanes; at < to; at += Lanes)
        {
            Vector512<float> seen = Between(from, to, at);
            largest = Vector512.Max(largest, Vector512.ConditionalSelect(seen, Vector512.Load(exps + at), Vector512.Create(float.NegativeInfinity)));
        }

        float max = Largest(largest);
        int before = Math.Min(Sinks, low);
        for (int s = 0; s < before; s++)
        {
            sinks[s] = Dot(_rows + (i * _shape.Width), _window.SinkKeys(span.Head) + (s * _shape.Width));
            max = Math.Max(max, sinks[s]);
        }

        Vector512<float> total = default;
        for (int at = 0; at < span.Tokens; at += Lanes)
        {
            Vector512<float> e = RowKernels.Exp(Vector512.Load(exps + at) - Vector512.Create(max)) & Between(from, to, at);
            e.Store(exps + at);
            total += e;
        }

        float sum = Vector512.Sum(total);
        for (int s = 0; s < Sinks; s++)
        {
            sinks[s] = s < before ? MathF.Exp(sinks[s] - max) : 0;
            sum += sinks[s];
        }

        sinks[Sinks] = 1 / sum;
    }

    /// <summary>The rows' outputs, and these times each value.</summary>
    private void Multiply(Span span, int count)
    {
        int padded = TileKernels.Padded(count);
        for (int i = count; i < padded; i++)
        {
            new Span<float>(_exps + ((long)i * span.Tokens), span.Tokens).Clear();
        }

        for (int d = 0; d < _shape.Width; d += Panel)
        {
            TileKernels.Products(
                _exps, padded, span.Tokens, ((nint)(_window.Values(span.Head, span.Start) + d), _shape.Width), ((nint)(_outputs + d), _shape.Width));
        }

        for (int i = 0; i < count; i++)
        {
            Normalise(_outputs + (i * _shape.Width), _sinks + (i * Lanes), _window.SinkValues(span.Head));
        }

        for (int at = 0; at < span.Tokens; at += Panel)
        {
            TileKernels.Products(_outputs, padded, _shape.Width, _window.ValueColumns(span.Head, span.Start + at), _products + at, span.Tokens);
        }
    }

    /// <summary>Adds the sinks' values, divides by the mass; behind 1 / mass comes the squared length.</summary>
    private void Normalise(float* output, float* sinks, float* values)
    {
        Vector512<float> inverse = Vector512.Create(sinks[Sinks]), length = default;
        for (int d = 0; d < _shape.Width; d += Lanes)
        {
            Vector512<float> o = Vector512.Load(output + d);
            for (int s = 0; s < Sinks; s++)
            {
                o = Vector512.FusedMultiplyAdd(Vector512.Create(sinks[s]), Vector512.Load(values + (s * _shape.Width) + d), o);
            }

            o *= inverse;
            o.Store(output + d);
            length = Vector512.FusedMultiplyAdd(o, o, length);
        }

        sinks[Sinks + 1] = Vector512.Sum(length);
    }

    /// <summary>(p / (1 - p))^2 |v - o|^2 of the keys that follow the row; where p is large v is close to o, and the difference itself is taken.</summary>
    private void Add(Span span, int i, int row, float* sums)
    {
        float* exps = _exps + ((long)i * span.Tokens);
        float* products = _products + ((long)i * span.Tokens);
        float* lengths = _window.Lengths(span.Head, span.Start);
        (int from, int to) = (row + 1 - span.Start, Math.Min(_shape.Length - 1, row + _shape.Reach) + 1 - span.Start);
        Vector512<float> inverse = Vector512.Create(_sinks[(i * Lanes) + Sinks]), own = Vector512.Create(_sinks[(i * Lanes) + Sinks + 1]);
        for (int at = from / Lanes * Lanes; at < to; at += Lanes)
        {
            Vector512<float> ahead = Between(from, to, at);
            Vector512<float> p = Vector512.Load(exps + at) * inverse;
            Vector512<float> odds = p / (Vector512<float>.One - p);
            Vector512<float> gap = Vector512.FusedMultiplyAdd(Vector512.Create(-2f), Vector512.Load(products + at), Vector512.Load(lengths + at) + own);
            Vector512<float> dominant = Vector512.GreaterThan(p, Vector512.Create(ChangedEntries.Dominant)) & ahead;
            (Vector512.Load(sums + at) + (odds * odds * Vector512.Max(gap, Vector512<float>.Zero) & Vector512.AndNot(ahead, dominant))).Store(sums + at);
            for (ulong bits = dominant.ExtractMostSignificantBits(); bits != 0; bits &= bits - 1)
            {
                int token = at + System.Numerics.BitOperations.TrailingZeroCount(bits);
                sums[token] += Direct(exps[token] * inverse[0], _outputs + (i * _shape.Width), _window.Values(span.Head, span.Start + token));
            }
        }
    }

    private float Direct(float p, float* output, float* value)
    {
        double gap = 0;
        for (int d = 0; d < _shape.Width; d++)
        {
            double difference = (double)value[d] - output[d];
            gap += difference * difference;
        }

        double odds = p / Math.Max(1 - p, LeastLeft);
        return (float)(odds * odds * gap);
    }

    private float Dot(float* a, float* b)
    {
        Vector512<float> sum = default;
        for (int d = 0; d < _shape.Width; d += Lanes)
        {
            sum = Vector512.FusedMultiplyAdd(Vector512.Load(a + d), Vector512.Load(b + d), sum);
        }

        return Vector512.Sum(sum);
    }

    private static float Largest(Vector512<float> of)
    {
        Vector256<float> half = Vector256.Max(of.GetLower(), of.GetUpper());
        Vector128<float> quarter = Vector128.Max(half.GetLower(), half.GetUpper());
        return Math.Max(Math.Max(quarter[0], quarter[1]), Math.Max(quarter[2], quarter[3]));
    }

    /// <summary>All ones in the lanes of [from, to), for the vector at <paramref name="at"/>.</summary>
    private static Vector512<float> Between(int from, int to, int at) => Vector512.AndNot(RowKernels.From(from, at), RowKernels.From(to, at));

    /// <summary>A block's KV head and first row, the first token that it sees beside the sinks, and how many in whole panels.</summary>
    private readonly record struct Span(int Head, int First, int Start, int Tokens);
}
