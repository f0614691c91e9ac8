using FlowMM.Engine;
using FlowMM.Model;
using FlowMM.UnitTests.Testing;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace FlowMM.UnitTests.Engine;

/// <summary>
/// The engine over a model whose steps the tensor library computes together, as on a device. Its last bits depend on the company, so these are questions
/// whose answers are no near-ties.
/// </summary>
public sealed class TogetherTests
{
    private static readonly string[] Pictures = ["garment-039", "shape-016", "code-019", "garment-011", "shape-071", "codefont-004"];

    [Fact]
    public async Task Generate_ManySessions_AnswersAsEachAloneInFewerPasses()
    {
        using ChatModel model = ChatModel.Load(TinyModel.Directory, new LoadSettings { Kernels = new KernelOptions { Enabled = false }, Together = true });
        Assert.True(model.DecodesTogether && !model.RowsAreIndependent);
        using InferenceEngine alone = Start(model), shared = Start(model);
        List<string> expected = [];
        foreach (string picture in Pictures)
        {
            expected.Add(await Ask(alone, picture));
        }

        string[] answers = await Task.WhenAll(Pictures.Select(p => Task.Run(() => Ask(shared, p))));
        Assert.Equal(expected, answers);
        Assert.InRange(shared.Steps, 1, alone.Steps - 1);
        await shared.CheckIntegrity(TestContext.Current.CancellationToken);
    }

    private static InferenceEngine Start(ChatModel model) => new(model, new EngineOptions { CacheBytes = 1 << 26 }, NullLogger<InferenceEngine>.Instance);

    private static async Task<string> Ask(InferenceEngine engine, string picture)
    {
        EngineSession session = new(engine, picture);
        (string first, _) = await session.Ask("What is this?", TinyModel.Picture(picture));
        (string second, _) = await session.Ask("What color is it?");
        return $"{first} / {second}";
    }
}
