using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// The cache memory of one device: slots in size classes, taken in blocks of equal slots, all blocks together within a bound. Blocks are
/// small (see the constructor), so that what stands free in one class is soon there for another. Belongs to the engine's thread.
/// </summary>
public sealed class KvSlab : IDisposable
{
    private const int MostSlots = 64;

    private readonly EntryLayout _layout;
    private readonly long _extentBytes;
    private readonly SortedDictionary<int, List<SlabExtent>> _classes = [];
    private readonly Tensor[] _nothing;

    /// <summary>A slab that holds nothing yet.</summary>
    /// <param name="shape">Sizes of the model.</param>
    /// <param name="device">Where it lies.</param>
    /// <param name="dtype">Type of keys and values.</param>
    /// <param name="limit">Bytes that its blocks may take together; while entries move to another class, one block more.</param>
    /// <param name="extentBytes">Bytes that a block of several slots aims at; larger slots have a block each, and 0 gives every slot its own.</param>
    public KvSlab(CacheShape shape, Device device, ScalarType dtype, long limit, long extentBytes)
    {
        _layout = new EntryLayout(shape, device, dtype);
        (Limit, _extentBytes) = (limit, extentBytes);
        Tensor[] none = _layout.Reserve(1, 0);
        _nothing = [.. none.Select(t => t.select(0, 0).DetachFromDisposeScope())];
        Array.ForEach(none, t => t.Dispose());
    }

    /// <summary>Bytes that the blocks may take together.</summary>
    public long Limit { get; }

    /// <summary>Bytes that the blocks take.</summary>
    public long ReservedBytes { get; private set; }

    /// <summary>Bytes of the slots in use.</summary>
    public long UsedBytes { get; private set; }

    /// <summary>Slots in use.</summary>
    public int SlotsInUse { get; private set; }

    /// <summary>Where it lies.</summary>
    public Device Device => _layout.Device;

    internal EntryLayout Layout => _layout;

    /// <summary>Tensors of a layer that holds no entry, [G, 0, D] and [G, 0].</summary>
    internal Tensor[] Nothing => _nothing;

    /// <summary>Room for entries.</summary>
    /// <param name="entries">Entries per KV head.</param>
    /// <param name="moving">True when the entries of a slot that is given back right after move there: the bound is not asked then.</param>
    /// <exception cref="KvMemoryFullException">It would pass the bound.</exception>
    internal SlabSlot Rent(int entries, bool moving)
    {
        int capacity = SizeClass.For(entries);
        SlabExtent extent = Of(capacity).Find(e => e.Free > 0) ?? NewExtent(capacity, moving);
        (SlotsInUse, UsedBytes) = (SlotsInUse + 1, UsedBytes + extent.SlotBytes);
        return extent.Rent();
    }

    /// <summary>Gives a slot back. An empty block goes back to the device unless it is the class's only spare one and small.</summary>
    internal void Return(SlabSlot slot)
    {
        SlabExtent extent = slot.Extent;
        extent.Release(slot.Index);
        (SlotsInUse, UsedBytes) = (SlotsInUse - 1, UsedBytes - extent.SlotBytes);
        if (extent.Used == 0 && (extent.Slots == 1 || Of(extent.Capacity).Exists(e => e != extent && e.Free > 0)))
        {
            Free(extent);
        }
    }

    /// <summary>True when slots can be had in the place of others, those given back when all are there.</summary>
    /// <param name="entries">Entries per KV head of each slot that is wanted.</param>
    /// <param name="replaced">The slots that they replace.</param>
    internal bool HasRoom(IEnumerable<int> entries, IEnumerable<SlabSlot> replaced)
    {
        long bytes = ReservedBytes - Empty().Sum(e => e.Bytes);
        bytes -= replaced.GroupBy(s => s.Extent).Where(g => g.Count() == g.Key.Used).Sum(g => g.Key.Bytes);
        foreach (IGrouping<int, int> wanted in entries.GroupBy(SizeClass.For))
        {
            int missing = wanted.Count() - Of(wanted.Key).Where(e => e.Used > 0).Sum(e => e.Free);
            int slots = SlotsOfExtent(wanted.Key);
            bytes += Math.Max(0, (missing + slots - 1) / slots) * slots * _layout.Bytes(wanted.Key);
        }

        return bytes <= Limit;
    }

    /// <summary>Gathers the slots of each class in as few blocks as hold them and gives the others back. Only between steps: entries move.</summary>
    public void Compact()
    {
        foreach (List<SlabExtent> extents in _classes.Values)
        {
            SlabExtent[] fullest = [.. extents.Where(e => e.Free > 0).OrderByDescending(e => e.Used)];
            for (int to = 0, from = fullest.Length - 1; to < from;)
            {
                if (fullest[to].Free == 0)
                {
                    to++;
                }
                else if (fullest[from].InUse().LastOrDefault() is { } last)
                {
                    last.MoveTo(fullest[to]);
                }
                else
                {
                    from--;
                }
            }
        }

        Trim();
    }

    /// <summary>Throws when free lists, slots and counts do not tell the same, or blocks overlap.</summary>
    /// <exception cref="InvalidOperationException">Something is wrong; the text says what.</exception>
    public void CheckIntegrity()
    {
        SlabExtent[] all = [.. _classes.Values.SelectMany(c => c)];
        foreach (SlabExtent extent in all)
        {
            extent.CheckIntegrity();
        }

        Integrity.Check(all.Sum(e => e.Used) == SlotsInUse, $"{SlotsInUse} slots are said to be in use, {all.Sum(e => e.Used)} are");
        Integrity.Check(all.Sum(e => e.Used * e.SlotBytes) == UsedBytes, "the bytes in use are counted wrong");
        Integrity.Check(all.Sum(e => e.Bytes) == ReservedBytes, "the bytes of the blocks are counted wrong");
        Integrity.Check(_classes.All(c => c.Value.TrueForAll(e => e.Capacity == c.Key)), "a block stands in the wrong class");
        (nint From, long Bytes)[] ranges = [.. all.SelectMany(e => e.Ranges()).OrderBy(r => r.From)];
        Integrity.Check(ranges.Zip(ranges.Skip(1)).All(p => p.First.From + p.First.Bytes <= p.Second.From), "two blocks overlap");
    }

    /// <summary>Frees every block; no cache may be used afterwards.</summary>
    public void Dispose()
    {
        foreach (IDisposable owned in _classes.Values.SelectMany(c => c).Concat<IDisposable>(_nothing))
        {
            owned.Dispose();
        }

        _classes.Clear();
    }

    /// <summary>The slots in use.</summary>
    internal IEnumerable<SlabSlot> InUse() => _classes.Values.SelectMany(c => c).SelectMany(e => e.InUse());

    private List<SlabExtent> Of(int capacity) => _classes.TryGetValue(capacity, out List<SlabExtent>? extents)
        ? extents
        : _classes[capacity] = [];

    private int SlotsOfExtent(int capacity) => (int)Math.Clamp(_extentBytes / _layout.Bytes(capacity), 1, MostSlots);

    private SlabExtent NewExtent(int capacity, bool moving)
    {
        long bytes = SlotsOfExtent(capacity) * _layout.Bytes(capacity);
        if (ReservedBytes + bytes > Limit)
        {
            Trim();
        }

        if (ReservedBytes + bytes > Limit && !moving)
        {
            throw new KvMemoryFullException($"A cache of {capacity:N0} entries needs {bytes:N0} bytes more; {ReservedBytes:N0} of {Limit:N0} are taken.");
        }

        SlabExtent extent = new(_layout, capacity, SlotsOfExtent(capacity));
        Of(capacity).Add(extent);
        ReservedBytes += bytes;
        return extent;
    }

    private IEnumerable<SlabExtent> Empty() => _classes.Values.SelectMany(c => c).Where(e => e.Used == 0);

    private void Trim()
    {
        foreach (SlabExtent extent in Empty().ToArray())
        {
            Free(extent);
        }
    }

    private void Free(SlabExtent extent)
    {
        Of(extent.Capacity).Remove(extent);
        ReservedBytes -= extent.Bytes;
        extent.Dispose();
    }
}
