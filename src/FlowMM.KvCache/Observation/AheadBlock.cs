using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FlowMM.KvCache;

/// <summary>
/// The arithmetic of 32 rows that look ahead, a tile of 32 queries at a time: logits, probabilities, outputs and what leaving each follower out
/// changes. Queries are columns, so that every sum but the last runs down them. Which queries share a tile depends on their place in the
/// segment alone. Legend: n tokens that a tile sees, W head dim filled up with zeros.
/// </summary>
internal sealed unsafe class AheadBlock : IDisposable
{
    /// <summary>Rows of a block.</summary>
    internal const int Rows = 32;

    private const int Columns = TileKernels.Columns;
    private const int Half = RowKernels.Lanes;
    private const int Sinks = AheadWindow.Sinks;
    private const float LeastLeft = 1e-3f;

    private readonly AheadWindow _window;
    private readonly AheadQueries _queries;
    private readonly AlignedFloats _memory;
    private readonly (int Group, int Reach, int Length, int Width) _shape;
    private readonly float* _columns;
    private readonly float* _outputs;
    private readonly float* _nothing;
    private readonly float* _inverse;
    private readonly float* _lengths;
    private readonly int* _rows;
    private readonly float* _changes;
    private readonly float* _products;
    private readonly float* _exps;

    /// <summary>Takes scratch memory.</summary>
    internal AheadBlock(AheadWindow window, AheadQueries queries, (int Group, int Reach, int Length) shape)
    {
        (_window, _queries) = (window, queries);
        _shape = (shape.Group, shape.Reach, shape.Length, window.Width);
        int followers = TileKernels.Padded(Tokens(shape.Reach));
        long rows = (2 * window.Width) + followers + TileKernels.Rows + TileKernels.Padded(Rows + (2 * shape.Reach));
        _memory = new AlignedFloats((Columns * (rows + 3)) + (Tokens(shape.Reach) * Half) + (window.Width + Half));
        _columns = _memory.Data;
        _outputs = _columns + (Columns * window.Width);
        _inverse = _outputs + (Columns * window.Width);
        _lengths = _inverse + Columns;
        _rows = (int*)(_lengths + Columns);
        _changes = _lengths + (2 * Columns);
        _products = _changes + (Tokens(shape.Reach) * Half);
        _exps = _products + (Columns * followers);
        _nothing = _exps + (Columns * (TileKernels.Rows + TileKernels.Padded(Rows + (2 * shape.Reach))));
        new Span<float>(_nothing, window.Width).Clear();
        new Span<float>(_columns, Columns * window.Width).Clear();
    }

    /// <summary>Tokens from a block's first row on that its rows look ahead to, that row included.</summary>
    internal static int Tokens(int reach) => Rows + reach;

    /// <summary>Adds up squared changes of a KV head's rows from <paramref name="first"/> on.</summary>
    /// <param name="head">KV head.</param>
    /// <param name="first">A multiple of 32.</param>
    /// <param name="sums">[<see cref="Tokens"/>] from <paramref name="first"/> on; overwritten.</param>
    internal void Sum(int head, int first, float* sums)
    {
        int queries = Math.Min(Rows, _shape.Length - first) * _shape.Group;
        new Span<float>(_changes, Tokens(_shape.Reach) * Half).Clear();
        for (int query = 0; query < queries; query += Columns)
        {
            Tile tile = Gather(head, (first, query, Math.Min(Columns, queries - query)));
            Attend(tile);
            Multiply(tile);
            Add(tile, _changes + ((tile.Top - first) * Half));
        }

        for (int n = 0; n < Tokens(_shape.Reach); n++)
        {
            sums[n] = Vector512.Sum(Vector512.Load(_changes + (n * Half)));
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();

    /// <summary>Queries over the root of D as columns; those that fill up the last tile are zero and look from its last row.</summary>
    private Tile Gather(int head, (int First, int Query, int Count) at)
    {
        float** queries = stackalloc float*[Columns];
        (int row, int member) = Math.DivRem(at.Query, _shape.Group);
        for (int c = 0; c < at.Count; c++, member++)
        {
            (row, member) = member == _shape.Group ? (row + 1, 0) : (row, member);
            _rows[c] = at.First + row;
            queries[c] = _queries.At(at.First + row, head * _shape.Group) + (member * _queries.Width);
        }

        for (int c = at.Count; c < Columns; c++)
        {
            _rows[c] = _rows[at.Count - 1];
            queries[c] = _nothing;
        }

        Transposition.Lay(queries, _queries.Width, (float)(1 / Math.Sqrt(_queries.Width)), _columns);
        (int top, int bottom) = (_rows[0], _rows[Columns - 1]);
        return new Tile(head, at.Count, top, bottom, Math.Max(0, top - _shape.Reach), Math.Min(_shape.Length, bottom + _shape.Reach + 1));
    }

    /// <summary>Exponentials of the sinks and of the neighbours, next to nothing where a row does not see them, and 1 / their sum.</summary>
    private void Attend(Tile tile)
    {
        float* sinks = _exps + (AheadWindow.Before * Columns);
        TileKernels.Products(_window.SinkKeys(tile.Head), TileKernels.Rows, _shape.Width, _columns, _exps, Columns);
        TileKernels.Products(_window.Keys(tile.Head, tile.From), TileKernels.Padded(tile.Tokens), _shape.Width, _columns, sinks + (Sinks * Columns), Columns);
        Hide(tile, sinks);
        ColumnMath.ExponentiateAndSum(sinks, Sinks + tile.Tokens, _inverse);
        for (int c = 0; c < Columns; c++)
        {
            _inverse[c] = c < tile.Count ? 1 / _inverse[c] : 0;
        }
    }

    /// <summary>Takes away the sinks that are neighbours too, and the tokens at both ends that not every row reaches.</summary>
    private void Hide(Tile tile, float* sinks)
    {
        for (int s = Math.Max(0, tile.Top - _shape.Reach); s < Sinks; s++)
        {
            Keep(sinks + (s * Columns), s + _shape.Reach + 1, int.MaxValue);
        }

        float* tokens = sinks + (Sinks * Columns);
        for (int t = tile.From; t < tile.To; t++)
        {
            if (t < tile.Bottom - _shape.Reach || t > tile.Top + _shape.Reach)
            {
                Keep(tokens + ((t - tile.From) * Columns), t - _shape.Reach, t + _shape.Reach);
            }
        }
    }

    /// <summary>Takes a token's logits away from the queries of rows outside of [low, high].</summary>
    private void Keep(float* logits, int low, int high)
    {
        for (int c = 0; c < Columns; c += Half)
        {
            Vector512<int> rows = Vector512.Load(_rows + c);
            Vector512<int> seen = Vector512.GreaterThanOrEqual(rows, Vector512.Create(low)) & Vector512.LessThanOrEqual(rows, Vector512.Create(high));
            Vector512.ConditionalSelect(seen.AsSingle(), Vector512.Load(logits + c), Vector512.Create(float.NegativeInfinity)).Store(logits + c);
        }
    }

    /// <summary>The queries' outputs, and these times the value of each token that follows one of their rows.</summary>
    private void Multiply(Tile tile)
    {
        float* sinks = _exps + (AheadWindow.Before * Columns);
        TileKernels.Sums(_window.SinkValues(tile.Head), Sinks, _shape.Width, sinks, _outputs);
        TileKernels.AddSums(_window.Values(tile.Head, tile.From), tile.Tokens, _shape.Width, sinks + (Sinks * Columns), _outputs);
        ColumnMath.Normalise(_outputs, _shape.Width, _inverse, _lengths);
        int followers = tile.To - tile.Top - 1;
        TileKernels.Products(_window.Values(tile.Head, tile.Top + 1), TileKernels.Padded(followers), _shape.Width, _outputs, _products, Columns);
    }

    /// <summary>(p / (1 - p))^2 |v - o|^2 of the keys that follow a row; where p is large v is close to o, and the difference itself is taken.</summary>
    /// <param name="tile">The tile.</param>
    /// <param name="changes">[n, 16] from the tile's first row on; added to.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Add(Tile tile, float* changes)
    {
        (Followed left, Followed right) = (new Followed(this, 0), new Followed(this, Half));
        float* lengths = _window.Lengths(tile.Head, tile.Top);
        float* values = _window.Values(tile.Head, tile.Top);
        float* exps = _exps + ((TileKernels.Rows + tile.Top - tile.From) * Columns);
        for (int n = 1; n < tile.To - tile.Top; n++)
        {
            float* product = _products + ((n - 1) * Columns);
            Vector512<float> large = default;
            (Vector512<float> length, Vector512<int> token) = (Vector512.Create(lengths[n]), Vector512.Create(tile.Top + n));
            Vector512<float> change = left.Change(exps + (n * Columns), product, length, token, ref large)
                + right.Change(exps + (n * Columns) + Half, product + Half, length, token, ref large);
            if (large != Vector512<float>.Zero)
            {
                change += Direct(exps + (n * Columns), values + (n * _shape.Width), token);
            }

            (Vector512.Load(changes + (n * Half)) + change).Store(changes + (n * Half));
        }
    }

    /// <summary>The changes of the queries that look at a follower above all.</summary>
    private Vector512<float> Direct(float* exps, float* value, Vector512<int> token)
    {
        (Vector512<float> a, Vector512<float> b) = ColumnMath.Gaps(value, _outputs, _shape.Width);
        return new Followed(this, 0).Dominant(exps, a, token) + new Followed(this, Half).Dominant(exps + Half, b, token);
    }

    /// <summary>A KV head, its queries that are none of the filling, their first and last row, and the tokens that they see beside the sinks.</summary>
    private readonly record struct Tile(int Head, int Count, int Top, int Bottom, int From, int To)
    {
        internal int Tokens => To - From;
    }

    /// <summary>Half of a tile's queries, as they stay in registers while their followers pass.</summary>
    private readonly struct Followed(AheadBlock block, int at)
    {
        private readonly Vector512<float> _inverse = Vector512.Load(block._inverse + at);
        private readonly Vector512<float> _lengths = Vector512.Load(block._lengths + at);
        private readonly Vector512<int> _rows = Vector512.Load(block._rows + at);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        internal Vector512<float> Change(float* exps, float* product, Vector512<float> length, Vector512<int> token, ref Vector512<float> large)
        {
            Vector512<float> p = (Vector512.Load(exps) * _inverse) & Vector512.GreaterThan(token, _rows).AsSingle();
            Vector512<float> dominant = Vector512.GreaterThan(p, Vector512.Create(ChangedEntries.Dominant));
            Vector512<float> odds = RowKernels.Odds(Vector512.AndNot(p, dominant));
            Vector512<float> gap = Vector512.FusedMultiplyAdd(Vector512.Create(-2f), Vector512.Load(product), length + _lengths);
            large |= dominant;
            return odds * odds * Vector512.Max(gap, Vector512<float>.Zero);
        }

        internal Vector512<float> Dominant(float* exps, Vector512<float> gap, Vector512<int> token)
        {
            Vector512<float> p = (Vector512.Load(exps) * _inverse) & Vector512.GreaterThan(token, _rows).AsSingle();
            Vector512<float> odds = p / Vector512.Max(Vector512<float>.One - p, Vector512.Create(LeastLeft));
            return odds * odds * gap & Vector512.GreaterThan(p, Vector512.Create(ChangedEntries.Dominant));
        }
    }
}
