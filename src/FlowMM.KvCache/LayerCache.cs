using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// One layer's entries of one session: keys after RoPE, values, log-mass, logical position, token count and modality of each.
/// Legend: G KV heads, N entries, C reserved entries (capacity), D head dim. Not thread-safe: the engine's thread owns it.
/// </summary>
public sealed class LayerCache : IDisposable
{
    // A Scalar that only the call sees may be finalised while native code reads it.
    private static readonly Scalar One = 1;

    private const int KeysAt = 0;
    private const int ValuesAt = 1;
    private const int BetaAt = 2;
    private const int PositionsAt = 3;
    private const int CountsAt = 4;
    private const int ModalitiesAt = 5;

    private readonly CacheShape _shape;
    private readonly Device _device;
    private readonly ScalarType _dtype;
    private Tensor[] _tensors;

    /// <summary>An empty layer that reserves no memory yet.</summary>
    /// <param name="shape">Sizes of the model.</param>
    /// <param name="device">Where the entries live.</param>
    /// <param name="dtype">Type of keys and values.</param>
    public LayerCache(CacheShape shape, Device device, ScalarType dtype)
    {
        (_shape, _device, _dtype) = (shape, device, dtype);
        _tensors = Reserve(0);
    }

    /// <summary>Entries held per KV head, N.</summary>
    public int Length { get; private set; }

    /// <summary>Entries reserved per KV head, C.</summary>
    public int Capacity { get; private set; }

    /// <summary>True when an entry's beta may differ from 0, so that attention must add it.</summary>
    public bool HasMass { get; private set; }

    /// <summary>Entries at the start that compression has made final: nothing may cut into them.</summary>
    public int FixedLength { get; private set; }

    /// <summary>Bytes reserved: K, V, beta, positions, counts and modalities.</summary>
    public long Bytes => (long)Capacity * _shape.KvHeads * _shape.EntryBytes(_dtype);

    /// <summary>A view [G, N, D] of the keys; the caller disposes the view.</summary>
    public Tensor Keys => _tensors[KeysAt].narrow(1, 0, Length);

    /// <summary>A view [G, N, D] of the values; the caller disposes the view.</summary>
    public Tensor Values => _tensors[ValuesAt].narrow(1, 0, Length);

    /// <summary>A view [G, N] f32 of the log-mass; the caller disposes the view.</summary>
    public Tensor Beta => _tensors[BetaAt].narrow(1, 0, Length);

    /// <summary>A view [G, N] i32 of logical positions; the caller disposes the view.</summary>
    public Tensor Positions => _tensors[PositionsAt].narrow(1, 0, Length);

    /// <summary>A view [G, N] i32 of token counts; the caller disposes the view.</summary>
    public Tensor Counts => _tensors[CountsAt].narrow(1, 0, Length);

    /// <summary>A view [G, N] u8 of modalities, 0 text, 1 visual; the caller disposes the view.</summary>
    public Tensor Modalities => _tensors[ModalitiesAt].narrow(1, 0, Length);

    /// <summary>Adds tokens at the end, each an entry of count 1 and beta 0, text until <see cref="Mark"/> says otherwise.</summary>
    /// <param name="keys">[G, T, D] after RoPE.</param>
    /// <param name="values">[G, T, D].</param>
    /// <param name="position">Logical index of the first.</param>
    public void Append(Tensor keys, Tensor values, int position)
    {
        using DisposeScope scope = NewDisposeScope();
        int added = (int)keys.shape[1];
        EnsureCapacity(Length + added);
        _tensors[KeysAt].narrow(1, Length, added).copy_(keys);
        _tensors[ValuesAt].narrow(1, Length, added).copy_(values);
        _tensors[BetaAt].narrow(1, Length, added).zero_();
        _tensors[PositionsAt].narrow(1, Length, added).copy_(tensor([.. Enumerable.Range(position, added)], device: _device));
        _tensors[CountsAt].narrow(1, Length, added).fill_(One);
        _tensors[ModalitiesAt].narrow(1, Length, added).zero_();
        Length += added;
    }

    /// <summary>Says which kind of tokens entries stand for.</summary>
    /// <param name="start">First entry.</param>
    /// <param name="modality">One value an entry: 0 text, 1 visual.</param>
    public void Mark(int start, ReadOnlySpan<byte> modality)
    {
        using DisposeScope scope = NewDisposeScope();
        _tensors[ModalitiesAt].narrow(1, start, modality.Length).copy_(tensor(modality.ToArray(), dtype: uint8));
    }

    /// <summary>Puts a compressed segment in the place of its entries and gives back the memory that is not needed any more.</summary>
    /// <param name="start">First entry of the segment.</param>
    /// <param name="count">Its entries.</param>
    /// <param name="compressed">What it became; when it is the identity only <see cref="FixedLength"/> changes.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range is not held.</exception>
    public void Replace(int start, int count, CompressedLayer compressed)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(start + count, Length);
        int made = compressed.Identity ? count : compressed.Length;
        if (!compressed.Identity)
        {
            Rebuild(start, count, compressed);
        }

        FixedLength = Math.Max(FixedLength - count + made, start + made);
    }

    /// <summary>Entries and all in memory of its own; the caller disposes it.</summary>
    public LayerCache Clone()
    {
        LayerCache copy = new(_shape, _device, _dtype);
        copy.EnsureCapacity(Length);
        using DisposeScope scope = NewDisposeScope();
        copy.Length = Length;
        (copy.FixedLength, copy.HasMass) = (FixedLength, HasMass);
        foreach ((Tensor to, Tensor from) in copy.Views().Zip(Views()))
        {
            to.copy_(from);
        }

        return copy;
    }

    /// <summary>Fills an empty layer with entries that were read from another: its views, in the order of the properties above.</summary>
    /// <param name="views">Keys, values, beta, positions, counts, modalities, each of N entries.</param>
    /// <param name="fixedLength">Entries at the start that are final.</param>
    /// <exception cref="InvalidOperationException">The layer holds entries.</exception>
    public void Load(IReadOnlyList<Tensor> views, int fixedLength)
    {
        if (Length > 0)
        {
            throw new InvalidOperationException($"The layer holds {Length} entries already.");
        }

        using DisposeScope scope = NewDisposeScope();
        int length = (int)views[KeysAt].shape[1];
        EnsureCapacity(length);
        (Length, FixedLength) = (length, fixedLength);
        foreach ((Tensor to, Tensor from) in Views().Zip(views))
        {
            to.copy_(from);
        }

        HasMass = views[BetaAt].count_nonzero().item<long>() > 0;
    }

    /// <summary>Forgets the entries from <paramref name="length"/> on; memory stays reserved.</summary>
    /// <param name="length">Entries to keep, 0 to <see cref="Length"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">More than are held, or fewer than are final.</exception>
    public void Truncate(int length)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, Length);
        ArgumentOutOfRangeException.ThrowIfLessThan(length, FixedLength);
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

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Tensor owned in _tensors)
        {
            owned.Dispose();
        }
    }

    private IEnumerable<Tensor> Views() => _tensors.Select(t => t.narrow(1, 0, Length));

    private void Rebuild(int start, int count, CompressedLayer compressed)
    {
        using DisposeScope scope = NewDisposeScope();
        int made = compressed.Length;
        Tensor kept = tensor(compressed.Kept.SelectMany(k => k).Select(k => (long)k).ToArray(), dtype: int64).reshape(-1, made).to(_device); // [G, B]
        Tensor[] segment =
        [
            compressed.Keys!,
            compressed.Values!,
            tensor(compressed.Beta.SelectMany(b => b).Select(b => (float)b).ToArray()).reshape(-1, made),
            _tensors[PositionsAt].narrow(1, start, count).gather(1, kept),
            tensor(compressed.Counts.SelectMany(c => c).ToArray()).reshape(-1, made),
            tensor(compressed.Modality.SelectMany(m => m).ToArray()).reshape(-1, made),
        ];
        Tensor[] before = [.. Views()];
        int length = Length - count + made;
        Tensor[] after = Reserve(SizeClass.For(length));
        for (int t = 0; t < after.Length; t++)
        {
            after[t].narrow(1, 0, start).copy_(before[t].narrow(1, 0, start));
            after[t].narrow(1, start, made).copy_(segment[t]);
            after[t].narrow(1, start + made, length - start - made).copy_(before[t].narrow(1, start + count, Length - start - count));
        }

        Dispose();
        _tensors = after;
        Length = length;
        HasMass |= compressed.Beta.Any(head => head.Any(b => b != 0));
    }

    private void Move(int capacity)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor[] before = [.. Views()];
        Tensor[] after = Reserve(capacity);
        for (int t = 0; t < after.Length; t++)
        {
            after[t].narrow(1, 0, Length).copy_(before[t]);
        }

        Dispose();
        _tensors = after;
    }

    private Tensor[] Reserve(int capacity)
    {
        Capacity = capacity;
        (long heads, long width) = (_shape.KvHeads, _shape.HeadDim);
        Tensor Room(ScalarType type, params long[] size) => empty(size, type, _device).DetachFromDisposeScope();
        return
        [
            Room(_dtype, heads, capacity, width),
            Room(_dtype, heads, capacity, width),
            Room(float32, heads, capacity),
            Room(int32, heads, capacity),
            Room(int32, heads, capacity),
            Room(uint8, heads, capacity),
        ];
    }
}
