using FlowMM.Engine.Offline;
using FlowMM.Model;
using FlowMM.UnitTests.Testing;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Engine.Offline;

public sealed class OfflineRunnerTests
{
    private const int Most = 24;

    private static readonly ChatModel Model = TinyModel.Model;

    [Fact]
    public void Decode_Fork_AnswersAsItsOriginAndLeavesItAlone()
    {
        OfflineRunner runner = new(Model);
        using OfflineSession session = Read(runner, "What is this?");
        using OfflineSession fork = session.Fork();
        int length = session.Cache.LogicalLength;
        string answer = Text(runner.Decode([fork], Most)[0]);
        Assert.Equal(length, session.Cache.LogicalLength);
        Assert.Equal("a white dress", answer);
        Assert.Equal(answer, Text(runner.Decode([session], Most)[0]));
    }

    [Fact]
    public void Decode_SeveralSessions_AnswersEachAsAlone()
    {
        OfflineRunner runner = new(Model);
        string[] questions = ["What is this?", "What colour is the image?", "Describe the image."];
        using DisposeScope scope = NewDisposeScope();
        OfflineSession[] together = [.. questions.Select(q => Read(runner, q))], alone = [.. questions.Select(q => Read(runner, q))];
        Assert.Equal(alone.Select(s => Text(runner.Decode([s], Most)[0])), runner.Decode(together, Most).Select(Text));
        Array.ForEach([.. together, .. alone], s => s.Dispose());
    }

    [Fact]
    public void Decode_Ended_HoldsTheWholeAnswerInTheCache()
    {
        OfflineRunner runner = new(Model);
        using OfflineSession session = Read(runner, "What is this?");
        int before = session.Cache.LogicalLength;
        IReadOnlyList<int> answer = runner.Decode([session], Most)[0];
        Assert.Contains(answer[^1], Model.EndIds);
        Assert.Equal(before + answer.Count, session.Cache.LogicalLength);
    }

    [Fact]
    public void Prefill_ImageTokensWithoutRows_IsRefused()
    {
        using OfflineSession session = OfflineSession.Start(Model);
        Assert.Throws<ArgumentException>(() => new OfflineRunner(Model).Prefill([new OfflineInput { Session = session, Ids = Prompt("What is this?") }]));
    }

    [Fact]
    public void Decode_NothingRead_IsRefused()
    {
        using OfflineSession session = OfflineSession.Start(Model);
        Assert.Throws<InvalidOperationException>(() => new OfflineRunner(Model).Decode([session], Most));
    }

    private static OfflineSession Read(OfflineRunner runner, string question)
    {
        using DisposeScope scope = NewDisposeScope();
        OfflineSession session = OfflineSession.Start(Model);
        Tensor rows = Model.EncodeImage(Model.Images!.Preprocess(TinyModel.Picture("garment-000"))); // [tokens, C]
        runner.Prefill([new OfflineInput { Session = session, Ids = Prompt(question), ImageRows = rows }]);
        return session;
    }

    private static int[] Prompt(string question) =>
        new PromptBuilder(Model).Build([new ChatMessage("user", [ChatPart.OfImage(32, 32), ChatPart.OfText(question)])]).Ids;

    private static string Text(IReadOnlyList<int> ids) => Model.Tokenizer.Decode(ids);
}
