using FlowMM.KvCache;
using FlowMM.Model;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace FlowMM.ParityTests;

/// <summary>Every golden case of every family that this version loads.</summary>
public sealed class ModelParityTests
{
    private static readonly Dictionary<string, ChatModel> Models = [];

    public static TheoryData<string, string> Cases()
    {
        TheoryData<string, string> cases = [];
        foreach ((string family, _) in Goldens.Families())
        {
            foreach (string path in Directory.GetFiles(family, "case-*.json").Order(StringComparer.Ordinal))
            {
                cases.Add(Path.GetFileName(family), Path.GetFileNameWithoutExtension(path));
            }
        }

        return cases;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Render_GoldenMessages_EqualsTheReference(string family, string name)
    {
        (ChatModel model, GoldenCase golden) = Open(family, name);
        Assert.Equal(golden.Rendered, model.Template.Render(golden.Messages, true));
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Tokenize_GoldenText_EqualsTheReference(string family, string name)
    {
        (ChatModel model, GoldenCase golden) = Open(family, name);
        Assert.Equal(golden.InputIds, new PromptBuilder(model).Tokenize(golden.Rendered, golden.AddSpecial).Ids);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Preprocess_GoldenImages_EqualsTheReference(string family, string name)
    {
        (ChatModel model, GoldenCase golden) = Open(family, name);
        using DisposeScope scope = NewDisposeScope();
        foreach ((int i, byte[] bytes) in golden.Images.Index())
        {
            ProcessedImage image = model.Images!.Preprocess(bytes);
            Tensor expected = golden.Read("pixel_values")[i];
            Assert.Equal((3L, (long)image.Height, (long)image.Width), (expected.shape[0], expected.shape[1], expected.shape[2]));

            // Lossless files and exact resizing: what is left is the rounding of the normalisation.
            Assert.True((tensor(image.Pixels, expected.shape) - expected).abs().max().item<float>() < 1e-6);
            AssertFeatures(golden, model, image, i);
        }

        static void AssertFeatures(GoldenCase golden, ChatModel model, ProcessedImage image, int i)
        {
            Tensor features = model.EncodeImage(image), wanted = golden.Read("image_features")[i];
            Assert.True(((features - wanted).abs() - (wanted.abs() * 1e-4) - 1e-4).max().item<float>() <= 0, $"The features of picture {i} differ.");
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Forward_OneShot_EqualsTheReference(string family, string name)
    {
        (ChatModel model, GoldenCase golden) = Open(family, name);
        using DisposeScope scope = NewDisposeScope();
        using SessionCache cache = model.NewCache();
        List<Tensor> hidden = [];
        model.HiddenState = x => hidden.Add(x.clone().DetachFromDisposeScope());
        Tensor logits = Feed(model, golden, cache, golden.InputIds.Length, all: true);
        model.HiddenState = null;
        int layers = cache.Layers.Count, last = golden.InputIds.Length - 4;
        golden.AssertClose("prefill.logits", logits.narrow(0, last, 4));
        golden.AssertClose("prefill.final_norm", hidden[^1].narrow(0, last, 4));
        for (int i = 0; i < layers; i++)
        {
            golden.AssertClose($"prefill.hidden.{i}", hidden[i + 1].narrow(0, last, 4));
        }

        AssertCache(golden, cache);
        hidden.ForEach(h => h.Dispose());
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Forward_InChunks_EqualsTheReference(string family, string name)
    {
        (ChatModel model, GoldenCase golden) = Open(family, name);
        using DisposeScope scope = NewDisposeScope();
        using SessionCache cache = model.NewCache();
        Tensor logits = Feed(model, golden, cache, 7, all: false);
        golden.AssertClose("prefill.logits", cat([golden.Read("prefill.logits").narrow(0, 0, 3), logits]));
        AssertCache(golden, cache);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Decode_Greedy_EqualsTheReference(string family, string name)
    {
        (ChatModel model, GoldenCase golden) = Open(family, name);
        using DisposeScope scope = NewDisposeScope();
        using SessionCache cache = model.NewCache();
        List<Tensor> rows = [Feed(model, golden, cache, 512, all: false)];
        int[] ids = golden.GreedyIds;
        for (int step = 0; step + 1 < ids.Length; step++)
        {
            // The reference's tokens are fed, so that one near tie cannot hide the steps after it.
            rows.Add(model.Forward([new SequenceChunk { Cache = cache, TokenIds = new[] { ids[step] } }]));
        }

        Tensor logits = cat(rows);
        golden.AssertClose("greedy.logits", logits);
        Assert.Equal(ids, logits.argmax(-1).data<long>().Select(id => (int)id));
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Forward_WithoutCache_EqualsDecodingWithIt(string family, string name)
    {
        (ChatModel model, GoldenCase golden) = Open(family, name);
        using DisposeScope scope = NewDisposeScope();
        using SessionCache cache = model.NewCache();
        int[] ids = golden.GreedyIds;
        int[] all = [.. golden.InputIds, .. ids.Take(ids.Length - 1)];
        Tensor logits = model.Forward([new SequenceChunk { Cache = cache, TokenIds = all, ImageRows = Features(model, golden), AllLogits = true }]);
        golden.AssertClose("greedy.logits", logits.narrow(0, golden.InputIds.Length - 1, ids.Length));
    }

    private static void AssertCache(GoldenCase golden, SessionCache cache)
    {
        for (int i = 0; i < cache.Layers.Count; i++)
        {
            golden.AssertClose($"prefill.key.{i}", cache.Layers[i].Keys);
            golden.AssertClose($"prefill.value.{i}", cache.Layers[i].Values);
        }
    }

    private static Tensor Feed(ChatModel model, GoldenCase golden, SessionCache cache, int chunk, bool all)
    {
        int[] ids = golden.InputIds;
        Tensor? features = Features(model, golden);
        Tensor? logits = null;
        for (int at = 0, used = 0; at < ids.Length; at += chunk)
        {
            int[] part = ids[at..Math.Min(at + chunk, ids.Length)];
            int rows = part.Count(id => id == model.ImageTokenId);
            logits = model.Forward([new SequenceChunk
            {
                Cache = cache,
                TokenIds = part,
                ImageRows = rows == 0 ? null : features!.narrow(0, used, rows),
                AllLogits = all,
            }]);
            used += rows;
        }

        return logits!;
    }

    private static Tensor? Features(ChatModel model, GoldenCase golden) =>
        golden.Images.Count == 0 ? null : cat([.. golden.Images.Select(i => model.EncodeImage(model.Images!.Preprocess(i)))]);

    private static (ChatModel Model, GoldenCase Golden) Open(string family, string name)
    {
        (string path, string checkpoint) = Goldens.Families().Single(f => Path.GetFileName(f.Family) == family);
        lock (Models)
        {
            if (!Models.TryGetValue(family, out ChatModel? model))
            {
                Models[family] = model = ChatModel.Load(checkpoint, CPU, float32);
            }

            return (model, new GoldenCase(path, name));
        }
    }
}
