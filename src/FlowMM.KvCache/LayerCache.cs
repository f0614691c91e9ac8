using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// One layer's entries of one session: keys after RoPE, values, log-mass, logical position and token count of each.
/// Legend: G KV heads, N entries, C reserved entries (capacity), D head dim. Not thread-safe: the engine's thread owns it.
/// </summary>
public sealed class LayerCache : IDisposable
{
    private readonly CacheShape _shape;
    private readonly Device _device;
    private readonly ScalarType _dtype;
    private Tensor _keys;
    private Tensor _values;
    private Tensor _beta;
    private Tensor _positions;
    private Tensor _counts;

    /// <summary>An empty layer that reserves no memory yet.</summary>
    /// <param name="shape">Sizes of the model.</param>
    /// <param name="device">Where the entries live.</param>
    /// <param name="dtype">Type of keys and values.</param>
    public LayerCache(CacheShape shape, Device device, ScalarType dtype)
    {
        (_shape, _device, _dtype) = (shape, device, dtype);
        (_keys, _values, _beta, _positions, _counts) = Reserve(0);
    }

    /// <summary>Entries held per KV head, N.</summary>
    public int Length { get; private set; }

    /// <summary>Entries reserved per KV head, C.</summary>
    public int Capacity { get; private set; }

    /// <summary>True when an entry's beta may differ from 0, so that attention must add it.</summary>
    public bool HasMass { get; private set; }

    /// <summary>Bytes reserved: K, V, beta, positions and counts.</summary>
    public long Bytes => (long)Capacity * _shape.KvHeads * ((2 * _shape.HeadDim * _dtype.ElementSize()) + 12);

    /// <summary>A view [G, N, D] of the keys; the caller disposes the view.</summary>
    public Tensor Keys => _keys.narrow(1, 0, Length);

    /// <summary>A view [G, N, D] of the values; the caller disposes the view.</summary>
    public Tensor Values => _values.narrow(1, 0, Length);

    /// <summary>A view [G, N] f32 of the log-mass; the caller disposes the view.</summary>
    public Tensor Beta => _beta.narrow(1, 0, Length);

    /// <summary>A view [G, N] i32 of logical positions; the caller disposes the view.</summary>
    public Tensor Positions => _positions.narrow(1, 0, Length);

    /// <summary>A view [G, N] i32 of token counts; the caller disposes the view.</summary>
    public Tensor Counts => _counts.narrow(1, 0, Length);

    /// <summary>Adds tokens at the end, each an entry of count 1 and beta 0.</summary>
    /// <param name="keys">[G, T, D] after RoPE.</param>
    /// <param name="values">[G, T, D].</param>
    /// <param name="position">Logical index of the first.</param>
    public void Append(Tensor keys, Tensor values, int position)
    {
        using DisposeScope scope = NewDisposeScope();
        int added = (int)keys.shape[1];
        EnsureCapacity(Length + added);
        _keys.narrow(1, Length, added).copy_(keys);
        _values.narrow(1, Length, added).copy_(values);
        _beta.narrow(1, Length, added).zero_();
        _positions.narrow(1, Length, added).copy_(arange(position, position + added, int32, _device));
        _counts.narrow(1, Length, added).fill_(1);
        Length += added;
    }

    /// <summary>Forgets the entries from <paramref name="length"/> on; memory stays reserved.</summary>
    /// <param name="length">Entries to keep, 0 to <see cref="Length"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">More than are held.</exception>
    public void Truncate(int length)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Length);
        Length = length;
    }

    /// <summary>Reserves room so that appends up to <paramref name="entries"/> move nothing.</summary>
    /// <param name="entries">Entries per KV head.</param>
    public void EnsureCapacity(int entries)
    {
        if (entries > Capacity)
        {
            Move(SizeClass.For(entries));
        }
    }

    /// <summary>An independent copy of the entries, with the same room; the caller disposes it.</summary>
    public LayerCache Clone()
    {
        LayerCache copy = new(_shape, _device, _dtype);
        copy.EnsureCapacity(Capacity);
        copy.Take(this);
        return copy;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _keys.Dispose();
        _values.Dispose();
        _beta.Dispose();
        _positions.Dispose();
        _counts.Dispose();
    }

    private void Take(LayerCache other)
    {
        using DisposeScope scope = NewDisposeScope();
        (Length, HasMass) = (other.Length, other.HasMass);
        if (Length > 0)
        {
            Keys.copy_(other.Keys);
            Values.copy_(other.Values);
            Beta.copy_(other.Beta);
            Positions.copy_(other.Positions);
            Counts.copy_(other.Counts);
        }
    }

    private void Move(int capacity)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor keys, Tensor values, Tensor beta, Tensor positions, Tensor counts) = Reserve(capacity);
        if (Length > 0)
        {
            keys.narrow(1, 0, Length).copy_(Keys);
            values.narrow(1, 0, Length).copy_(Values);
            beta.narrow(1, 0, Length).copy_(Beta);
            positions.narrow(1, 0, Length).copy_(Positions);
            counts.narrow(1, 0, Length).copy_(Counts);
        }

        Dispose();
        (_keys, _values, _beta, _positions, _counts) = (keys, values, beta, positions, counts);
    }

    private (Tensor Keys, Tensor Values, Tensor Beta, Tensor Positions, Tensor Counts) Reserve(int capacity)
    {
        Capacity = capacity;
        (long heads, long width) = (_shape.KvHeads, _shape.HeadDim);
        return (
            empty([heads, capacity, width], _dtype, _device).DetachFromDisposeScope(),
            empty([heads, capacity, width], _dtype, _device).DetachFromDisposeScope(),
            empty([heads, capacity], float32, _device).DetachFromDisposeScope(),
            empty([heads, capacity], int32, _device).DetachFromDisposeScope(),
            empty([heads, capacity], int32, _device).DetachFromDisposeScope());
    }
}
