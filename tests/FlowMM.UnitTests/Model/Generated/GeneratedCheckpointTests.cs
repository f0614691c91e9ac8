using FlowMM.KvCache;
using FlowMM.Model;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.UnitTests.Model.Generated;

public sealed class GeneratedCheckpointTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("flowmm-").FullName;

    public static TheoryData<string> Families => ["llama", "qwen2", "qwen3"];

    [Theory]
    [MemberData(nameof(Families))]
    public void Ensure_OfFamily_LoadsAndComputes(string family)
    {
        string folder = GeneratedCheckpoint.Ensure(Small(family), wide: false, 7, _root);
        using ChatModel model = ChatModel.Load(folder, CPU, float32);
        using SessionCache cache = model.NewCache();
        using Tensor logits = model.Forward([new() { Cache = cache, TokenIds = model.Tokenizer.Encode("a boot", true) }]);
        Assert.Equal([1, 300], logits.shape);
        Assert.InRange(logits.std().item<float>(), 0.5f, 8f);
        Assert.Equal("a w256", model.Tokenizer.Decode([.. model.Tokenizer.Encode("a", true), 256]));
    }

    [Fact]
    public void Ensure_SameSeed_GivesSameBytes()
    {
        string first = GeneratedCheckpoint.Ensure(Small("qwen2"), wide: true, 7, Path.Combine(_root, "a"));
        string second = GeneratedCheckpoint.Ensure(Small("qwen2"), wide: true, 7, Path.Combine(_root, "b"));
        string other = GeneratedCheckpoint.Ensure(Small("qwen2"), wide: true, 8, _root);
        byte[] weights = Weights(first);
        Assert.Equal(weights, Weights(second));
        Assert.NotEqual(weights, Weights(other));
    }

    [Fact]
    public void Ensure_WhenThere_WritesNothing()
    {
        string folder = GeneratedCheckpoint.Ensure(Small("llama"), wide: false, 7, _root);
        DateTime written = File.GetLastWriteTimeUtc(Path.Combine(folder, "model.safetensors"));
        Assert.Equal(folder, GeneratedCheckpoint.Ensure(Small("llama"), wide: false, 7, _root));
        Assert.Equal(written, File.GetLastWriteTimeUtc(Path.Combine(folder, "model.safetensors")));
        Assert.Equal([folder], Directory.GetDirectories(_root));
    }

    [Fact]
    public void Ensure_OtherSizesUnderTheName_Replaces()
    {
        GeneratedCheckpoint.Ensure(Small("llama"), wide: false, 7, _root);
        string folder = GeneratedCheckpoint.Ensure(Small("llama") with { Layers = 1 }, wide: false, 7, _root);
        using ChatModel model = ChatModel.Load(folder, CPU, float32);
        Assert.Equal(1, model.CacheShape.Layers);
    }

    [Fact]
    public void Parse_WithChanges_ChangesSizes()
    {
        ModelShape shape = ModelShape.Parse("qwen2.5-0.5b,layers=4,vocabulary=1024");
        Assert.Equal((4, 1024, 896, "qwen2.5-0.5b-layers4-vocabulary1024"), (shape.Layers, shape.Vocabulary, shape.Width, shape.Name));
        Assert.Equal(494_000_000, ModelShape.Parse("qwen2.5-0.5b").ActiveWeights, 500_000.0);
    }

    [Theory]
    [InlineData("gpt-9")]
    [InlineData("qwen2.5-0.5b,depth=4")]
    [InlineData("qwen2.5-0.5b,layers=none")]
    public void Parse_Unknown_Refuses(string text) => Assert.Throws<FormatException>(() => ModelShape.Parse(text));

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private static byte[] Weights(string folder) => File.ReadAllBytes(Path.Combine(folder, "model.safetensors"));

    private static ModelShape Small(string family) => new()
    {
        Name = "small-" + family,
        Family = family,
        Layers = 2,
        Width = 64,
        QueryHeads = 4,
        KvHeads = 2,
        HeadDim = 16,
        MlpWidth = 96,
        Vocabulary = 300,
        TiedEmbeddings = family != "llama",
    };
}
