using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// The cache memory of one model: a slab on each device that holds layers. Sessions take their slots here. Belongs to the engine's thread.
/// </summary>
public sealed class KvMemory : IDisposable
{
    // A block of slots takes at most this, and at most a 64th of a small memory, so that free slots of one class are little to others.
    private const long ExtentBytes = 1 << 20;
    private const int ExtentShare = 64;

    private readonly KvSlab[] _slabs;
    private readonly KvSlab[] _ofLayer;

    /// <summary>Memory that holds nothing yet.</summary>
    /// <param name="shape">Sizes of the model.</param>
    /// <param name="layers">The device of each layer, in order. Devices of one type and number share a slab; <c>cpu:0</c> and <c>cpu:1</c> are two.</param>
    /// <param name="dtype">Type of keys and values.</param>
    /// <param name="limit">Bytes of all devices; each gets the share of its layers.</param>
    /// <exception cref="ArgumentException">There is not one device a layer.</exception>
    public KvMemory(CacheShape shape, IReadOnlyList<Device> layers, ScalarType dtype, long limit)
        : this(shape, layers, dtype, limit, Math.Min(ExtentBytes, limit / ExtentShare))
    {
    }

    private KvMemory(CacheShape shape, IReadOnlyList<Device> layers, ScalarType dtype, long limit, long extentBytes)
    {
        if (layers.Count != shape.Layers)
        {
            throw new ArgumentException($"There are {shape.Layers} layers and {layers.Count} devices for them.", nameof(layers));
        }

        (Shape, Devices, Dtype, Limit) = (shape, layers, dtype, limit);
        Dictionary<(DeviceType, int), KvSlab> slabs = layers.GroupBy(Identity).ToDictionary(
            on => on.Key,
            on => new KvSlab(shape, on.First(), dtype, (long)((decimal)limit * on.Count() / shape.Layers), extentBytes));
        _ofLayer = [.. layers.Select(d => slabs[Identity(d)])];
        _slabs = [.. slabs.Values];
    }

    /// <summary>Sizes of the model.</summary>
    public CacheShape Shape { get; }

    /// <summary>The device of each layer.</summary>
    public IReadOnlyList<Device> Devices { get; }

    /// <summary>Type of keys and values.</summary>
    public ScalarType Dtype { get; }

    /// <summary>Bytes that all slabs may take.</summary>
    public long Limit { get; }

    /// <summary>Bytes that the slabs take from their devices.</summary>
    public long ReservedBytes => _slabs.Sum(s => s.ReservedBytes);

    /// <summary>Bytes of the slots in use.</summary>
    public long UsedBytes => _slabs.Sum(s => s.UsedBytes);

    /// <summary>Slots in use: one a layer of each session that holds entries.</summary>
    public int SlotsInUse => _slabs.Sum(s => s.SlotsInUse);

    /// <summary>Memory without a bound for a single cache, each slot a block of its own.</summary>
    /// <param name="shape">Sizes of the model.</param>
    /// <param name="layers">The device of each layer, in order.</param>
    /// <param name="dtype">Type of keys and values.</param>
    public static KvMemory Unbounded(CacheShape shape, IReadOnlyList<Device> layers, ScalarType dtype) => new(shape, layers, dtype, long.MaxValue, 0);

    /// <summary>The slab that holds a layer.</summary>
    /// <param name="layer">Decoder layer.</param>
    public KvSlab Of(int layer) => _ofLayer[layer];

    /// <summary>Gathers slots in as few blocks as hold them. Only between steps: entries move.</summary>
    public void Compact()
    {
        foreach (KvSlab slab in _slabs)
        {
            slab.Compact();
        }
    }

    /// <summary>Throws when the slabs' own counts do not agree, or when their slots are not exactly those that the sessions hold.</summary>
    /// <param name="sessions">Every cache that lives in this memory.</param>
    /// <exception cref="InvalidOperationException">Something is wrong; the text says what.</exception>
    public void CheckIntegrity(IEnumerable<SessionCache> sessions)
    {
        foreach (KvSlab slab in _slabs)
        {
            slab.CheckIntegrity();
        }

        HashSet<SlabSlot> held = [.. sessions.SelectMany(s => s.Layers).Select(l => l.Slot).OfType<SlabSlot>()];
        HashSet<SlabSlot> used = [.. _slabs.SelectMany(s => s.InUse())];
        Integrity.Check(held.SetEquals(used), $"{used.Count} slots are in use, {held.Count} belong to sessions");
    }

    /// <summary>Frees the slabs; no cache may be used afterwards.</summary>
    public void Dispose() => Array.ForEach(_slabs, s => s.Dispose());

    /// <summary>What tells devices apart: a device without a number is the first of its kind. The text of a device of the CPU has no number.</summary>
    public static (DeviceType Type, int Index) Identity(Device device) => (device.type, Math.Max(0, device.index));

    /// <summary>True when every slab has room for slots of these layers in the place of those that they have.</summary>
    internal static bool HasRoom(IEnumerable<(LayerCache Layer, int Entries)> wanted) => wanted
        .GroupBy(w => w.Layer.Slab)
        .All(on => on.Key.HasRoom(on.Select(w => w.Entries), on.Select(w => w.Layer.Slot).OfType<SlabSlot>()));
}
