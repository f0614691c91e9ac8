using FlowMM.KvCache;
using FlowMM.UnitTests.Testing;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Merging;

[Collection(Alone.Name)]
public sealed class KvMemoryTests
{
    private static readonly CacheShape Shape = new(3, 4, 2, 8);

    [Fact]
    public void Append_ThroughClasses_KeepsEntriesAndBytes()
    {
        using KvMemory memory = Memory(8 << 20);
        using SessionCache cache = new(memory);
        for (int t = 0; t < 700; t++)
        {
            Append(cache, 1);
            memory.CheckIntegrity([cache]);
        }

        Check(cache, 700);
        Assert.Equal(SizeClass.For(700), cache.Layers[0].Capacity);
        Assert.Equal(cache.Bytes, memory.UsedBytes);
        Assert.InRange(memory.ReservedBytes, memory.UsedBytes, memory.UsedBytes + (40 * 131072));
    }

    [Fact]
    public void Append_BeyondTheBound_IsRefusedAndNothingIsLost()
    {
        using KvMemory memory = Memory(1 << 20);
        using SessionCache first = new(memory), second = new(memory);
        Append(first, 2000);
        Assert.False(second.TryReserve(3000));
        Assert.Throws<KvMemoryFullException>(() => Append(second, 3000));
        second.Dispose();
        Check(first, 2000);
        memory.CheckIntegrity([first]);
        Assert.InRange(memory.ReservedBytes, 1, memory.Limit);
    }

    [Fact]
    public void TryReserve_Room_AppendsWithoutMoving()
    {
        using KvMemory memory = Memory(8 << 20);
        using SessionCache cache = new(memory);
        Append(cache, 10);
        Assert.True(cache.TryReserve(500));
        nint before = cache.Layers[0].Pointers.Keys;
        Append(cache, 500);
        Assert.Equal(before, cache.Layers[0].Pointers.Keys);
        Check(cache, 510);
    }

    [Fact]
    public void TryReserve_GrowingAlone_CountsTheOldPlaceAsFree()
    {
        // One session may take nearly the whole memory although both its places stand side by side while a layer moves.
        using KvMemory memory = Memory(1 << 20);
        using SessionCache cache = new(memory);
        int held = 0;
        while (cache.TryReserve(32))
        {
            Append(cache, 32);
            held += 32;
        }

        Check(cache, held);
        Assert.InRange(cache.Bytes, 0.85 * memory.Limit, memory.Limit);
    }

    [Fact]
    public void Compact_Sparse_GivesBlocksBackAndKeepsEntries()
    {
        using KvMemory memory = Memory(4 << 20);
        List<SessionCache> caches = [.. Enumerable.Range(0, 60).Select(_ => new SessionCache(memory))];
        caches.ForEach(c => Append(c, 20));
        long full = memory.ReservedBytes;
        foreach (SessionCache gone in caches.Where((_, i) => i % 5 != 0).ToArray())
        {
            gone.Dispose();
            caches.Remove(gone);
        }

        memory.Compact();
        memory.CheckIntegrity(caches);
        Assert.InRange(memory.ReservedBytes, memory.UsedBytes, full / 3);
        caches.ForEach(c => Check(c, 20));
        caches.ForEach(c => c.Dispose());
        memory.Compact();
        Assert.Equal((0, 0, 0), (memory.ReservedBytes, memory.UsedBytes, memory.SlotsInUse));
    }

    [Fact]
    public void Restore_ContentOfAnotherMemory_IsTheSame()
    {
        using KvMemory memory = Memory(1 << 20), elsewhere = Memory(1 << 20);
        using SessionCache cache = new(memory), back = new(elsewhere);
        Append(cache, 77);
        cache.Layers[1].Mark(3, [1, 1, 1]);
        using SessionContent content = cache.ToHost();
        Append(back, 5);
        Assert.True(back.TryRestore(content, 3));
        Check(back, 77);
        Assert.Equal((77, 77, SizeClass.For(77)), (back.LogicalLength, back.Layers[2].Length, back.Layers[2].Capacity));
        using DisposeScope scope = NewDisposeScope();
        Assert.Equal(6, back.Layers[1].Modalities.sum().item<long>());
        elsewhere.CheckIntegrity([back]);
        using SessionCache other = new(new CacheShape(3, 4, 2, 16), CPU, ScalarType.Float32);
        Assert.Throws<ArgumentException>(() => other.TryRestore(content, 0));
    }

    [Fact]
    public void Clone_InSharedMemory_TakesSlotsOfItsOwn()
    {
        using KvMemory memory = Memory(1 << 20);
        using SessionCache cache = new(memory);
        Append(cache, 40);
        using SessionCache copy = cache.Clone();
        Append(copy, 2);
        Check(cache, 40);
        Check(copy, 42);
        memory.CheckIntegrity([cache, copy]);
    }

    [Fact]
    public void CheckIntegrity_ALeakedSlot_IsTold()
    {
        using KvMemory memory = Memory(1 << 20);
        using SessionCache cache = new(memory);
        Append(cache, 1);
        InvalidOperationException damage = Assert.Throws<InvalidOperationException>(() => memory.CheckIntegrity([]));
        Assert.Contains("3 slots are in use, 0 belong to sessions", damage.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Layers_OnTwoDevices_TakeTheirShareOfEach()
    {
        // meta has no memory: it stands for a second device here, of which only the accounting is looked at.
        using KvMemory memory = new(Shape, [CPU, META, META], ScalarType.Float32, 3 << 20);
        Assert.Equal((1 << 20, 2 << 20), (memory.Of(0).Limit, memory.Of(1).Limit));
        Assert.NotSame(memory.Of(0), memory.Of(1));
        Assert.Same(memory.Of(1), memory.Of(2));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Random_Operations_KeepEntriesSlotsAndTensors(int seed)
    {
        Random random = new(seed);
        using KvMemory memory = Memory(2 << 20);
        memory.Compact();
        long tensors = Tensor.TotalCount;
        List<(SessionCache Cache, int Length)> caches = [];
        for (int step = 0; step < 1000; step++)
        {
            Change(memory, caches, random);
            memory.CheckIntegrity(caches.Select(c => c.Cache));
            Assert.True(memory.ReservedBytes <= memory.Limit + (1 << 15));
        }

        caches.ForEach(c => Check(c.Cache, c.Length));
        caches.ForEach(c => c.Cache.Dispose());
        memory.Compact();
        Assert.Equal((0, 0), (memory.ReservedBytes, memory.SlotsInUse));
        Assert.InRange(Tensor.TotalCount, 0, tensors);
    }

    private static void Change(KvMemory memory, List<(SessionCache Cache, int Length)> caches, Random random)
    {
        int at = random.Next(caches.Count + 1);
        if (at == caches.Count)
        {
            caches.Add((new SessionCache(memory), 0));
            return;
        }

        (SessionCache cache, int length) = caches[at];
        int many = random.Next(1, 200);
        switch (random.Next(8))
        {
            case 0:
                cache.Dispose();
                caches.RemoveAt(at);
                break;
            case 1:
                int back = random.Next(length + 1);
                cache.Rewind(back);
                caches[at] = (cache, length - back);
                break;
            case 2:
                memory.Compact();
                caches.ForEach(c => Check(c.Cache, c.Length));
                break;
            default:
                if (cache.TryReserve(many))
                {
                    Append(cache, many);
                    caches[at] = (cache, length + many);
                }

                break;
        }
    }

    private static KvMemory Memory(long limit) => new(Shape, [.. Enumerable.Repeat(CPU, Shape.Layers)], ScalarType.Float32, limit);

    /// <summary>Entries whose keys are their position and whose values are its negative.</summary>
    private static void Append(SessionCache cache, int tokens)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor rows = arange(cache.LogicalLength, cache.LogicalLength + tokens, dtype: float32).reshape(1, tokens, 1).expand(2, tokens, 8);
        foreach (LayerCache layer in cache.Layers)
        {
            layer.Append(rows, rows.neg(), cache.LogicalLength);
        }

        cache.Advance(tokens);
    }

    private static void Check(SessionCache cache, int tokens)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor expected = arange(0, tokens, dtype: float32).reshape(1, tokens, 1).expand(2, tokens, 8);
        foreach (LayerCache layer in cache.Layers)
        {
            Assert.True(Segments.Same(expected, layer.Keys));
            Assert.True(Segments.Same(expected.neg(), layer.Values));
            Assert.True(Segments.Same(expected.narrow(2, 0, 1).squeeze(2).to(int32), layer.Positions));
            Assert.Equal(2 * tokens, layer.Counts.sum().item<long>());
            Assert.Equal(0, layer.Beta.abs().sum().item<float>());
        }
    }
}
