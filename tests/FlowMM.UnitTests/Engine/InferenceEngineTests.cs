using FlowMM.Abstractions;
using FlowMM.Engine;
using FlowMM.UnitTests.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace FlowMM.UnitTests.Engine;

public sealed class InferenceEngineTests
{
    private const string What = "What is in the image?";

    [Fact]
    public async Task Generate_Picture_NamesIt()
    {
        using InferenceEngine engine = Start();
        (string text, EndEvent end) = await new EngineSession(engine, "a").Ask(What, TinyModel.Picture("garment-039"));
        Assert.Equal("a yellow boot", text);
        Assert.Equal((FinishReason.Stop, 16), (end.Reason, end.Usage.ImageTokens));
        Assert.Equal((CacheSource.New, 0), (end.Provenance.Source, end.Provenance.TokensReused));
        Assert.Equal(end.Ids.Count + 1, end.Usage.CompletionTokens);
    }

    [Fact]
    public async Task Generate_SecondTurn_ReusesTheCacheAndEqualsAColdReplay()
    {
        using InferenceEngine warm = Start(), cold = Start();
        EngineSession session = new(warm, "a");
        await session.Ask(What, TinyModel.Picture("garment-039"));
        TurnInput second = session.Input("What colour is the image?");
        (string text, EndEvent end) = await session.Run(second);
        session.Asked.Clear();
        (string again, EndEvent replayed) = await session.Run(second with { Session = "b" });
        (string elsewhere, EndEvent colder) = await new EngineSession(cold, "a").Run(second);
        Assert.Equal("yellow", text);
        Assert.Equal((text, text), (again, elsewhere));
        Assert.Equal(end.Ids, replayed.Ids);
        Assert.Equal(end.Ids, colder.Ids);
        int history = second.History.Sum(r => r.Ids.Count);
        Assert.Equal((CacheSource.Resident, history, 0), (end.Provenance.Source, end.Provenance.TokensReused, end.Provenance.TokensReplayed));
        Assert.Equal((CacheSource.Replayed, 0, history), (replayed.Provenance.Source, replayed.Provenance.TokensReused, replayed.Provenance.TokensReplayed));
    }

    [Fact]
    public async Task Generate_HistoryWithAGeneratedImageToken_IsReplayed()
    {
        // A hot sampler may pick it: the conversation must not be lost to every later replay.
        using InferenceEngine engine = Start();
        int image = engine.Model.ImageTokenId!.Value;
        TurnInput first = Sequences.Input("a", 20), second = Sequences.Input("a", 9) with
        {
            History = [first.Prompt, new TokenRun { Ids = [300, image, 301, image, image] }],
        };
        EndEvent? end = null;
        await foreach (EngineEvent happened in engine.Generate(second, TestContext.Current.CancellationToken))
        {
            end = happened as EndEvent ?? end;
        }

        Assert.Equal((1, 25), (end!.Usage.CompletionTokens, end.Provenance.TokensReplayed));
    }

    [Fact]
    public async Task Generate_SecondTurn_EncodesNoPictureAgain()
    {
        using InferenceEngine engine = Start();
        EngineSession session = new(engine, "a");
        await session.Ask(What, TinyModel.Picture("garment-039"));
        session.Asked.Clear();
        await session.Ask("What colour is the image?");
        Assert.Empty(session.Asked);
    }

    [Fact]
    public async Task Generate_ManySessions_AnswerAsAlone()
    {
        using InferenceEngine engine = Start();
        string[] names = ["garment-039", "shape-016", "code-019", "garment-011", "shape-071", "codefont-004"];
        List<string> alone = [];
        foreach (string name in names)
        {
            alone.Add((await new EngineSession(engine, "alone-" + name).Ask(What, TinyModel.Picture(name))).Text);
        }

        (string Text, EndEvent End)[] together = await Task.WhenAll(names.Select(n => new EngineSession(engine, n).Ask(What, TinyModel.Picture(n))));
        Assert.Equal(alone, together.Select(t => t.Text));
    }

    [Fact]
    public async Task Generate_MaxTokens_EndsWithLength()
    {
        using InferenceEngine engine = Start();
        (_, EndEvent end) = await new EngineSession(engine, "a").Ask(What, TinyModel.Picture("garment-039"), new() { MaxTokens = 2 });
        Assert.Equal((FinishReason.Length, 2), (end.Reason, end.Ids.Count));
    }

    [Fact]
    public async Task Generate_AfterLengthStop_ContinuesAsAColdReplay()
    {
        using InferenceEngine engine = Start();
        EngineSession session = new(engine, "a");
        await session.Ask(What, TinyModel.Picture("garment-039"), new() { MaxTokens = 2 });
        TurnInput second = session.Input("What colour is the image?");
        (_, EndEvent warm) = await session.Run(second);
        (_, EndEvent cold) = await session.Run(second with { Session = "b" });
        Assert.Equal(cold.Ids, warm.Ids);
        Assert.Equal(second.History.Sum(r => r.Ids.Count) - 1, warm.Provenance.TokensReused); // the last token was never fed
    }

    [Fact]
    public async Task Generate_StopText_EndsBeforeIt()
    {
        using InferenceEngine engine = Start();
        (string text, EndEvent end) = await new EngineSession(engine, "a").Ask(What, TinyModel.Picture("garment-039"), new() { Stop = [" boot"] });
        Assert.Equal(("a yellow", FinishReason.Stop), (text, end.Reason));
    }

    [Fact]
    public async Task Generate_SameSeed_SamplesTheSame()
    {
        using InferenceEngine engine = Start();
        List<string> texts = [];
        for (int i = 0; i < 10; i++)
        {
            SamplingOptions sampling = new() { Temperature = 2, Seed = (ulong)i / 2, MaxTokens = 12 };
            texts.Add((await new EngineSession(engine, $"{i}").Ask(What, TinyModel.Picture("garment-039"), sampling)).Text);
        }

        Assert.All(Enumerable.Range(0, 5), i => Assert.Equal(texts[2 * i], texts[(2 * i) + 1]));
        Assert.NotEqual(1, texts.Distinct().Count());
    }

    [Fact]
    public async Task Generate_Cancelled_EndsWithWhatItHas()
    {
        using InferenceEngine engine = Start();
        List<EndEvent> ends = [];
        for (ulong seed = 0; seed < 30; seed++)
        {
            // Random text may end by itself before the engine hears of it, so not every try can show it.
            using CancellationTokenSource cancel = new();
            EngineSession session = new(engine, $"{seed}");
            TurnInput input = session.Input(What, TinyModel.Picture("garment-039"), new() { MaxTokens = 3000, Temperature = 2, Seed = seed, RepetitionPenalty = 10 });
            await foreach (EngineEvent happened in engine.Generate(input, cancel.Token))
            {
                cancel.Cancel();
                ends.AddRange(happened is EndEvent end ? [end] : []);
            }
        }

        Assert.Equal(30, ends.Count);
        EndEvent cancelled = ends.First(e => e.Reason == FinishReason.Cancelled);
        Assert.InRange(cancelled.Ids.Count, 1, 2999);
    }

    [Theory]
    [InlineData(0, CacheSource.Replayed)]
    [InlineData(1 << 24, CacheSource.Resident)]
    public async Task Generate_SmallMemory_IdleSessionsLeaveAndComeBack(long host, CacheSource source)
    {
        const long Room = 1 << 20;
        using InferenceEngine engine = Start(new EngineOptions { CacheBytes = Room, HostCacheBytes = host });
        EngineSession first = new(engine, "first");
        await first.Ask(What, TinyModel.Picture("garment-039"), new() { MaxTokens = 200 });
        for (int i = 0; i < 25; i++)
        {
            await new EngineSession(engine, $"other-{i}").Ask(What, TinyModel.Picture("shape-016"), new() { MaxTokens = 200 });
        }

        Assert.True(engine.CacheBytes <= Room);
        CacheBytes left = engine.BytesOf("first");
        Assert.Equal((0, host > 0), (left.Device, left.Host > 0));
        (string text, EndEvent end) = await first.Ask("What colour is the image?");
        Assert.Equal(("yellow", source), (text, end.Provenance.Source));
        Assert.Equal(host > 0 ? 0 : first.History[0].Ids.Count + first.History[1].Ids.Count, end.Provenance.TokensReplayed);
    }

    [Fact]
    public async Task Generate_TooMuchForTheNode_IsRefusedAndOthersGoOn()
    {
        using InferenceEngine engine = Start(new EngineOptions { CacheBytes = 1 << 20 });
        RefusedException refused = await Assert.ThrowsAsync<RefusedException>(() =>
            new EngineSession(engine, "big").Ask(What, TinyModel.Picture("garment-039"), new() { MaxTokens = 4000 }));
        Assert.Equal(ErrorCode.ResourceExhausted, refused.Code);
        Assert.Equal("a yellow boot", (await new EngineSession(engine, "small").Ask(What, TinyModel.Picture("garment-039"), new() { MaxTokens = 20 })).Text);
    }

    [Fact]
    public async Task Forget_IdleSession_FreesItsMemory()
    {
        using InferenceEngine engine = Start();
        await new EngineSession(engine, "a").Ask(What, TinyModel.Picture("garment-039"));
        Assert.True(engine.BytesOf("a").Device > 0);
        await engine.Forget("a", TestContext.Current.CancellationToken);
        Assert.Equal((default, 0), (engine.BytesOf("a"), engine.CacheBytes));
    }

    private static InferenceEngine Start(EngineOptions? options = null) =>
        new(TinyModel.Model, options ?? new EngineOptions(), NullLogger<InferenceEngine>.Instance);
}
