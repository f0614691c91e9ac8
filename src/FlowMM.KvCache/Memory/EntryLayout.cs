using TorchSharp;
using static TorchSharp.torch;

namespace FlowMM.KvCache;

/// <summary>
/// What is stored of an entry: keys, values, log-mass, logical position, token count and modality, each in a tensor of its own, in this
/// order. Legend: G KV heads, C entries, D head dim.
/// </summary>
internal sealed record EntryLayout(CacheShape Shape, Device Device, ScalarType Dtype)
{
    public const int Keys = 0;
    public const int Values = 1;
    public const int Beta = 2;
    public const int Positions = 3;
    public const int Counts = 4;
    public const int Modalities = 5;

    /// <summary>Bytes of <paramref name="capacity"/> entries of every KV head.</summary>
    public long Bytes(int capacity) => (long)capacity * Shape.KvHeads * Shape.EntryBytes(Dtype);

    /// <summary>The six tensors, [slots, G, C, D] or [slots, G, C], uninitialised and outside every dispose scope.</summary>
    public Tensor[] Reserve(int slots, int capacity)
    {
        Tensor Room(ScalarType type, params long[] size) => empty(size, type, Device).DetachFromDisposeScope();
        (long heads, long width) = (Shape.KvHeads, Shape.HeadDim);
        return
        [
            Room(Dtype, slots, heads, capacity, width),
            Room(Dtype, slots, heads, capacity, width),
            Room(float32, slots, heads, capacity),
            Room(int32, slots, heads, capacity),
            Room(int32, slots, heads, capacity),
            Room(uint8, slots, heads, capacity),
        ];
    }
}
