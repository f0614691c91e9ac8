using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// One layer's entries of one session: keys after RoPE, values, log-mass, logical position, token count and modality of each.
/// Legend: G KV heads, N entries, C reserved entries (capacity), D head dim. Not thread-safe: the engine's thread owns it.
/// </summary>
public sealed class LayerCache : IDisposable
{
    private readonly KvSlab _slab;

    /// <summary>An empty layer that reserves no memory yet.</summary>
    /// <param name="slab">Where it takes its memory; it outlives the layer.</param>
    public LayerCache(KvSlab slab) => _slab = slab;

    /// <summary>Entries held per KV head, N.</summary>
    public int Length { get; private set; }

    /// <summary>Entries reserved per KV head, C.</summary>
    public int Capacity => Slot?.Capacity ?? 0;

    /// <summary>True when an entry's beta may differ from 0, so that attention must add it.</summary>
    public bool HasMass { get; private set; }

    /// <summary>Entries at the start that compression has made final: nothing may cut into them.</summary>
    public int FixedLength { get; private set; }

    /// <summary>Bytes reserved: K, V, beta, positions, counts and modalities.</summary>
    public long Bytes => _slab.Layout.Bytes(Capacity);

    /// <summary>Where the entries lie, for kernels of the CPU.</summary>
    /// <exception cref="InvalidOperationException">The layer lives on another device, or reserves no memory yet.</exception>
    public EntryPointers Pointers => Slot?.Addresses is { } at
        ? new EntryPointers(at[EntryLayout.Keys], at[EntryLayout.Values], at[EntryLayout.Beta], Length, Capacity)
        : throw new InvalidOperationException("The layer has no memory on the CPU.");

    /// <summary>A view [G, N, D] of the keys; the caller disposes the view.</summary>
    public Tensor Keys => Tensors[EntryLayout.Keys].narrow(1, 0, Length);

    /// <summary>A view [G, N, D] of the values; the caller disposes the view.</summary>
    public Tensor Values => Tensors[EntryLayout.Values].narrow(1, 0, Length);

    /// <summary>A view [G, N] f32 of the log-mass; the caller disposes the view.</summary>
    public Tensor Beta => Tensors[EntryLayout.Beta].narrow(1, 0, Length);

    /// <summary>A view [G, N] i32 of logical positions; the caller disposes the view.</summary>
    public Tensor Positions => Tensors[EntryLayout.Positions].narrow(1, 0, Length);

    /// <summary>A view [G, N] i32 of token counts; the caller disposes the view.</summary>
    public Tensor Counts => Tensors[EntryLayout.Counts].narrow(1, 0, Length);

    /// <summary>A view [G, N] u8 of modalities, 0 text, 1 visual; the caller disposes the view.</summary>
    public Tensor Modalities => Tensors[EntryLayout.Modalities].narrow(1, 0, Length);

    /// <summary>Views of as many places as another cache of this size class holds entries, so that both can be read side by side.</summary>
    /// <param name="places">Places per KV head, at most <see cref="Capacity"/>.</param>
    public CacheViews Reserved(int places) => new(
        Tensors[EntryLayout.Keys].narrow(1, 0, places), Tensors[EntryLayout.Values].narrow(1, 0, places), Tensors[EntryLayout.Beta].narrow(1, 0, places));

    /// <summary>The slab that it takes memory from.</summary>
    internal KvSlab Slab => _slab;

    /// <summary>Its memory; null before the first entry.</summary>
    internal SlabSlot? Slot { get; private set; }

    private Tensor[] Tensors => Slot?.Tensors ?? _slab.Nothing;

    /// <summary>Adds tokens at the end, each an entry of count 1 and beta 0, text until <see cref="Mark"/> says otherwise.</summary>
    /// <param name="keys">[G, T, D] after RoPE.</param>
    /// <param name="values">[G, T, D].</param>
    /// <param name="position">Logical index of the first.</param>
    /// <exception cref="KvMemoryFullException">There is no room for them.</exception>
    public void Append(Tensor keys, Tensor values, int position)
    {
        using DisposeScope scope = NewDisposeScope();
        int added = (int)keys.shape[1], before = Length;
        Extend(added, position);
        Tensors[EntryLayout.Keys].narrow(1, before, added).copy_(keys);
        Tensors[EntryLayout.Values].narrow(1, before, added).copy_(values);
    }

    /// <summary>As <see cref="Append"/>, but leaves the new entries' keys and values to the caller, who writes them by <see cref="Pointers"/> or views.</summary>
    /// <param name="added">Tokens, at least one.</param>
    /// <param name="position">Logical index of the first.</param>
    /// <exception cref="KvMemoryFullException">There is no room for them.</exception>
    public void Extend(int added, int position)
    {
        EnsureCapacity(Length + added);
        if (Slot!.Addresses is { } at)
        {
            Fill(at, added, position);
        }
        else
        {
            using DisposeScope scope = NewDisposeScope();
            Tensors[EntryLayout.Beta].narrow(1, Length, added).zero_();
            // Made there: numbers that come from the host would wait for all that the device still has to do.
            using Scalar first = position, end = position + added;
            Tensors[EntryLayout.Positions].narrow(1, Length, added).copy_(arange(first, end, int32, _slab.Device));
            Tensors[EntryLayout.Counts].narrow(1, Length, added).fill_(Sums.One);
            Tensors[EntryLayout.Modalities].narrow(1, Length, added).zero_();
        }

        Length += added;
    }

    /// <summary>Says which kind of tokens entries stand for.</summary>
    /// <param name="start">First entry.</param>
    /// <param name="modality">One value an entry: 0 text, 1 visual.</param>
    public void Mark(int start, ReadOnlySpan<byte> modality)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensors[EntryLayout.Modalities].narrow(1, start, modality.Length).copy_(tensor(modality.ToArray(), dtype: uint8));
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

    /// <summary>A copy in host memory; the caller disposes it.</summary>
    public LayerEntries ToHost()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor[] held = [.. Views().Select(v => v.cpu().clone().contiguous().DetachFromDisposeScope())];
        return new LayerEntries
        {
            Keys = held[EntryLayout.Keys],
            Values = held[EntryLayout.Values],
            Beta = held[EntryLayout.Beta],
            Positions = held[EntryLayout.Positions],
            Counts = held[EntryLayout.Counts],
            Modalities = held[EntryLayout.Modalities],
            FixedLength = FixedLength,
            HasMass = HasMass,
        };
    }

    /// <summary>Takes the place of what it holds by a copy of other entries.</summary>
    /// <param name="entries">Of a layer of the same sizes; stays the caller's.</param>
    /// <exception cref="ArgumentException">Types or sizes are not those of this layer.</exception>
    /// <exception cref="KvMemoryFullException">There is no room for them.</exception>
    public void Restore(LayerEntries entries)
    {
        Tensor[] here = Tensors, there = entries.All;
        for (int t = 0; t < here.Length; t++)
        {
            long[] expected = [here[t].shape[0], entries.Length, .. here[t].shape.Skip(2)];
            if (here[t].dtype != there[t].dtype || !expected.SequenceEqual(there[t].shape))
            {
                throw new ArgumentException(
                    $"Tensor {t} is {there[t].dtype} [{string.Join(", ", there[t].shape)}], not {here[t].dtype} [{string.Join(", ", expected)}].", nameof(entries));
            }
        }

        Take(there, entries.FixedLength, entries.HasMass);
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
    /// <exception cref="KvMemoryFullException">There is no room for them.</exception>
    public void EnsureCapacity(int entries) => EnsureCapacity(entries, moving: false);

    /// <summary>Gives the memory back; the layer holds nothing then.</summary>
    public void Dispose()
    {
        if (Slot is { } slot)
        {
            Slot = null;
            _slab.Return(slot);
        }

        (Length, FixedLength, HasMass) = (0, 0, false);
    }

    /// <summary>Takes the place of what it holds by a copy of another layer's entries.</summary>
    internal void CopyOf(LayerCache other) => Take(other.Views(), other.FixedLength, other.HasMass);

    /// <summary>Takes the place of what it holds by a copy of another layer's first entries, none of them compressed.</summary>
    internal void CopyOf(LayerCache other, int entries)
    {
        using DisposeScope scope = NewDisposeScope();
        Take([.. other.Views().Select(v => v.narrow(1, 0, entries))], 0, hasMass: false);
    }

    /// <summary>As the public one; the bound is not asked again when the whole session was found to have room.</summary>
    internal void EnsureCapacity(int entries, bool moving)
    {
        if (entries > Capacity)
        {
            MoveTo(entries, moving);
        }
    }

    /// <summary>Moves to the size class of what is held.</summary>
    internal void Fit()
    {
        if (Length == 0 && Slot is { } slot)
        {
            Slot = null;
            _slab.Return(slot);
        }
        else if (Length > 0 && SizeClass.For(Length) < Capacity)
        {
            MoveTo(Length, moving: true);
        }
    }

    private IEnumerable<Tensor> Views() => Tensors.Select(t => t.narrow(1, 0, Length));

    private void MoveTo(int entries, bool moving)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor[] before = [.. Views()];
        SlabSlot after = _slab.Rent(entries, moving);
        for (int t = 0; t < before.Length; t++)
        {
            after.Tensors[t].narrow(1, 0, Length).copy_(before[t]);
        }

        MoveTo(after);
    }

    private void MoveTo(SlabSlot slot)
    {
        if (Slot is { } before)
        {
            _slab.Return(before);
        }

        Slot = slot;
    }

    private void Take(IEnumerable<Tensor> entries, int fixedLength, bool hasMass)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor[] given = [.. entries];
        int length = (int)given[0].shape[1];
        EnsureCapacity(length);
        for (int t = 0; t < given.Length && length > 0; t++)
        {
            Tensors[t].narrow(1, 0, length).copy_(given[t]);
        }

        (Length, FixedLength, HasMass) = (length, fixedLength, hasMass);
    }

    private void Rebuild(int start, int count, CompressedLayer compressed)
    {
        using DisposeScope scope = NewDisposeScope();
        int made = compressed.Length;
        Tensor kept = tensor(compressed.Kept.SelectMany(k => k).Select(k => (long)k).ToArray(), dtype: int64).reshape(-1, made).to(_slab.Device); // [G, B]
        Tensor[] segment =
        [
            compressed.Keys!,
            compressed.Values!,
            tensor(compressed.Beta.SelectMany(b => b).Select(b => (float)b).ToArray()).reshape(-1, made),
            Positions.narrow(1, start, count).gather(1, kept),
            tensor(compressed.Counts.SelectMany(c => c).ToArray()).reshape(-1, made),
            tensor(compressed.Modality.SelectMany(m => m).ToArray()).reshape(-1, made),
        ];
        Tensor[] before = [.. Views()];
        int length = Length - count + made;
        SlabSlot after = _slab.Rent(length, moving: true);
        for (int t = 0; t < before.Length; t++)
        {
            after.Tensors[t].narrow(1, 0, start).copy_(before[t].narrow(1, 0, start));
            after.Tensors[t].narrow(1, start, made).copy_(segment[t]);
            after.Tensors[t].narrow(1, start + made, length - start - made).copy_(before[t].narrow(1, start + count, Length - start - count));
        }

        MoveTo(after);
        Length = length;
        HasMass |= compressed.Beta.Any(head => head.Any(b => b != 0));
    }

    /// <summary>Beta, positions, counts and modalities of new entries, in place: four tensor operations a layer and token are most of a small model's step.</summary>
    private unsafe void Fill(nint[] at, int added, int position)
    {
        for (int head = 0; head < _slab.Layout.Shape.KvHeads; head++)
        {
            int first = (head * Capacity) + Length;
            new Span<float>((float*)at[EntryLayout.Beta] + first, added).Clear();
            new Span<int>((int*)at[EntryLayout.Counts] + first, added).Fill(1);
            new Span<byte>((byte*)at[EntryLayout.Modalities] + first, added).Clear();
            Span<int> positions = new((int*)at[EntryLayout.Positions] + first, added);
            for (int t = 0; t < added; t++)
            {
                positions[t] = position + t;
            }
        }
    }
}
