using FlowMM.KvCache;
using FlowMM.Model;
using FlowMM.Model.Layers;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Model;

public sealed class RotaryPositionsTests
{
    private static readonly CacheShape Shape = new(1, 1, 1, 8);

    /// <summary>Texts around pictures of 2 x 3 and 3 x 1 tokens, each of 2 x 2 patches.</summary>
    private static readonly ImageSpan[] Pictures = [new(2, 6, new ImageGrid(1, 4, 6)), new(9, 3, new ImageGrid(1, 6, 2))];

    private const int Tokens = 14;

    [Fact]
    public void Axes_OfPicturesInText_FollowRowsAndColumns()
    {
        using SessionCache cache = new(Shape, CPU, float32);
        int[][] axes = new RotaryPositions([Chunk(cache, 0, Tokens)], pictures: true).Axes;
        Assert.Equal([0, 1, 2, 2, 2, 2, 2, 2, 5, 6, 6, 6, 9, 10], axes[0]);
        Assert.Equal([0, 1, 2, 2, 2, 3, 3, 3, 5, 6, 7, 8, 9, 10], axes[1]);
        Assert.Equal([0, 1, 2, 3, 4, 2, 3, 4, 5, 6, 6, 6, 9, 10], axes[2]);
    }

    [Fact]
    public void Axes_OfModelWithoutSections_CountUp()
    {
        using SessionCache cache = new(Shape, CPU, float32);
        RotaryPositions positions = new([Chunk(cache, 0, Tokens)], pictures: false);
        Assert.False(positions.Differ);
        Assert.Equal(Enumerable.Range(0, Tokens), positions.Time);
    }

    /// <summary>However the tokens are cut into chunks, also inside a picture, positions are those of one pass.</summary>
    [Property(MaxTest = 200)]
    public Property Axes_InAnyChunks_EqualThoseOfOnePass() => Prop.ForAll(
        ArbMap.Default.ArbFor<PositiveInt[]>(),
        lengths =>
        {
            using SessionCache whole = new(Shape, CPU, float32), cut = new(Shape, CPU, float32);
            int[][] expected = new RotaryPositions([Chunk(whole, 0, Tokens)], true).Axes;
            List<int>[] seen = [[], [], []];
            int start = 0;
            foreach (int length in lengths.Select(l => l.Get).Append(Tokens))
            {
                int taken = Math.Min(length, Tokens - start);
                if (taken > 0)
                {
                    SequenceChunk chunk = Chunk(cut, start, taken);
                    int[][] axes = new RotaryPositions([chunk], true).Axes;
                    seen.Zip(axes).ToList().ForEach(p => p.First.AddRange(p.Second));
                    Feed(cut, chunk);
                    start += taken;
                }
            }

            return cut.NextPosition == 11 && seen.Zip(expected).All(p => p.First.SequenceEqual(p.Second));
        });

    [Theory]
    [InlineData(14, 11)]
    [InlineData(12, 9)]
    [InlineData(11, 8)]
    [InlineData(8, 5)]
    [InlineData(7, 7)]
    [InlineData(0, 0)]
    public void Rewind_ToAnyToken_RestoresThePositionThere(int kept, int position)
    {
        using SessionCache cache = new(Shape, CPU, float32);
        Feed(cache, Chunk(cache, 0, Tokens));
        cache.Rewind(Tokens - kept);
        Assert.Equal(position, cache.NextPosition);
        using SessionCache copy = cache.Clone();
        Assert.Equal(position, copy.NextPosition);
    }

    [Fact]
    public void Axes_OfGridThatTheTokensDoNotFill_IsRefused()
    {
        using SessionCache cache = new(Shape, CPU, float32);
        Assert.All(new ImageSpan[] { new(0, 5, new ImageGrid(1, 4, 6)), new(0, 12, new ImageGrid(2, 4, 6)) }, image =>
            Assert.Throws<ArgumentException>(() => new RotaryPositions([new() { Cache = cache, TokenIds = new int[12], Pictures = [image] }], true)));
    }

    [Fact]
    public void Add_ShiftThatIsNotLater_IsRefused()
    {
        PositionShifts shifts = new();
        shifts.Add(new PositionShift(5, -2));
        Assert.Throws<ArgumentException>(() => shifts.Add(new PositionShift(5, -1)));
        Assert.Equal(-2, shifts.Total);
    }

    private static SequenceChunk Chunk(SessionCache cache, int start, int length) => new()
    {
        Cache = cache,
        TokenIds = new int[length],
        Pictures = [.. Pictures.Where(p => p.Start < start + length && p.Start + p.Length > start).Select(p => p with { Start = p.Start - start })],
    };

    private static void Feed(SessionCache cache, SequenceChunk chunk)
    {
        int length = chunk.TokenIds.Length;
        RotaryPositions.Shifts(chunk).ToList().ForEach(cache.Shifts.Add);
        foreach (LayerCache layer in cache.Layers)
        {
            layer.Append(zeros(1, length, 8), zeros(1, length, 8), cache.LogicalLength);
        }

        cache.Advance(length);
    }
}
