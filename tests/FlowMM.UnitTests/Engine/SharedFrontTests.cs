using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.UnitTests.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace FlowMM.UnitTests.Engine;

/// <summary>Conversations of a tenant that begin alike compute their beginning once.</summary>
public sealed class SharedFrontTests
{
    private static readonly MergingOptions Merged = new() { Method = "flowmm", BudgetRatio = 0.5 };

    [Fact]
    public async Task Generate_SameFront_IsCopiedAndAnswersAsComputed()
    {
        using InferenceEngine engine = Start(), cold = Start();
        await Ask(engine, "a", 300);
        EndEvent warm = await Ask(engine, "b", 280, tail: 7), computed = await Ask(cold, "b", 280, tail: 7);
        Assert.Equal((256, 0), (warm.Usage.CachedTokens, computed.Usage.CachedTokens));
        Assert.Equal(computed.Ids, warm.Ids);
        Assert.Equal(CacheSource.New, warm.Provenance.Source);
        await engine.CheckIntegrity(TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Generate_FrontInHostMemory_IsCopiedFromThere()
    {
        using InferenceEngine engine = Start(), cold = Start();
        await Ask(engine, "a", 300);
        for (int i = 0; engine.BytesOf("a").Host == 0; i++)
        {
            await Ask(engine, $"other-{i}", 900 + i);
        }

        EndEvent warm = await Ask(engine, "b", 280, tail: 7), computed = await Ask(cold, "b", 280, tail: 7);
        Assert.Equal(256, warm.Usage.CachedTokens);
        Assert.Equal(computed.Ids, warm.Ids);
    }

    [Theory]
    [InlineData("another", 300, false, false)]
    [InlineData("one", 60, false, false)]
    [InlineData("one", 300, true, false)]
    [InlineData("one", 300, false, true)]
    public async Task Generate_OtherTenantShortOrMerged_ComputesAll(string tenant, int length, bool firstMerged, bool secondMerged)
    {
        using InferenceEngine engine = Start();
        await Ask(engine, "a", 300, merging: firstMerged ? Merged : null);
        EndEvent end = await Ask(engine, "b", length, merging: secondMerged ? Merged : null, tenant: tenant);
        Assert.Equal(0, end.Usage.CachedTokens);
    }

    [Fact]
    public async Task Generate_DonorIsGone_ComputesAll()
    {
        using InferenceEngine engine = Start();
        await Ask(engine, "a", 300);
        await engine.Forget("a", TestContext.Current.CancellationToken);
        Assert.Equal(0, (await Ask(engine, "b", 300)).Usage.CachedTokens);
    }

    [Fact]
    public void Of_OtherPicture_NamesOtherFronts()
    {
        TokenRun Run(char picture) => new()
        {
            Ids = [.. Enumerable.Repeat(3, 40)],
            Images = [new ImageTokens(20, 16, new string(picture, 64))],
        };
        string[] a = Fronts.Of("t", Run('a'), 16), b = Fronts.Of("t", Run('b'), 16);
        Assert.Equal(2, a.Length);
        Assert.Equal(a[0], b[0]);
        Assert.NotEqual(a[1], b[1]);
    }

    private static InferenceEngine Start() =>
        new(TinyModel.Model, new() { CacheBytes = 1 << 22, PrefillChunk = 64 }, NullLogger<InferenceEngine>.Instance);

    /// <summary>The first tokens are the same whatever the length; the last <paramref name="tail"/> are this turn's own.</summary>
    private static async Task<EndEvent> Ask(
        InferenceEngine engine, string session, int length, int tail = 0, MergingOptions? merging = null, string tenant = "one")
    {
        TurnInput input = Sequences.Input(session, length, merging, new() { MaxTokens = 12 });
        int[] ids = [.. Sequences.Input(session, 300).Prompt.Ids.Take(length - tail), .. input.Prompt.Ids.Skip(Math.Min(length - tail, 300))];
        EndEvent? end = null;
        await foreach (EngineEvent happened in engine.Generate(
            input with { Tenant = tenant, Prompt = input.Prompt with { Ids = length > 300 ? input.Prompt.Ids : ids } }, TestContext.Current.CancellationToken))
        {
            end = happened as EndEvent;
        }

        return end!;
    }
}
