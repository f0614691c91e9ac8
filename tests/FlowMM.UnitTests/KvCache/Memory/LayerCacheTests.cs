using FlowMM.KvCache;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Merging;

public sealed class LayerCacheTests
{
    private static readonly CacheShape Shape = new(1, 4, 2, 8);

    /// <summary>Where nothing has an address all is done by tensors of the device. This one holds no values, so sizes and places are all there is to see.</summary>
    [Fact]
    public void Append_AwayFromTheCpu_NeedsNoAddress()
    {
        using KvSlab slab = new(Shape, META, ScalarType.Float32, 1 << 20, 1 << 16);
        using LayerCache layer = new(slab);
        using DisposeScope scope = NewDisposeScope();
        foreach (int tokens in (int[])[40, 1, 1])
        {
            layer.Append(zeros([2, tokens, 8], device: META), zeros([2, tokens, 8], device: META), layer.Length);
        }

        Assert.Equal((42, 64), (layer.Length, layer.Capacity));
        Assert.Equal((DeviceType.META, 42), (layer.Positions.device_type, (int)layer.Positions.shape[1]));
        Assert.Equal([2, 64, 8], layer.Reserved(64).Values.shape);
        Assert.Throws<InvalidOperationException>(() => layer.Pointers);
    }
}
