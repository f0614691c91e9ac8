using System.Text.Json;

namespace FlowMM.UnitTests.Testing;

/// <summary>A small set in MileBench's layout, made from the shipped pictures: needles, choices, open questions. Deleted when disposed.</summary>
internal sealed class MileBenchSet : IDisposable
{
    public MileBenchSet()
    {
        Task("TextNeedleInAHaystack", "open-ended", 3, i => ($"{{image#1}}The password of the crab is {i}{i}{i}.\n{{image#2}}What is the password of the crab?", $"{i}{i}{i}", null));
        Task("PictureNames", "open-ended", 3, i => ("{image#1}{image#2}What is in image 1?", "a yellow boot", null));
        Task("PictureChoice", "multi-choice", 2, i => ("{image#1}{image#2}What is in image 2?", "a boot", ["a boot", "a sandal"]));
    }

    public string Path { get; } = Directory.CreateTempSubdirectory("flowmm-milebench-").FullName;

    public void Dispose() => Directory.Delete(Path, recursive: true);

    private void Task(string name, string type, int samples, Func<int, (string Context, string Response, string[]? Choices)> sample)
    {
        string images = Directory.CreateDirectory(System.IO.Path.Combine(Path, name, "images")).FullName;
        Directory.CreateDirectory(System.IO.Path.Combine(Path, name, "combined_1_images"));
        List<object> data = [];
        for (int i = 0; i < samples; i++)
        {
            (string context, string response, string[]? choices) = sample(i);
            string[] names = [$"{i}-a.png", $"{i}-b.png"];
            File.WriteAllBytes(System.IO.Path.Combine(images, names[0]), TinyModel.Picture($"garment-{i:000}"));
            File.WriteAllBytes(System.IO.Path.Combine(images, names[1]), TinyModel.Picture($"code-{i:000}"));
            File.WriteAllBytes(System.IO.Path.Combine(Path, name, "combined_1_images", names[0]), TinyModel.Picture($"garment-{i:000}"));
            Dictionary<string, object> instance = new() { ["context"] = context, ["images_path"] = names, ["combined_1_images"] = new[] { names[0] } };
            if (choices is not null)
            {
                instance["choice_list"] = choices;
            }

            data.Add(new { sample_id = i, task_instruction_id = 0, task_instance = instance, response });
        }

        string file = JsonSerializer.Serialize(new { meta_data = new { dataset = name, question_type = type, task_instruction = new[] { "Answer about the pictures." } }, data });
        File.WriteAllText(System.IO.Path.Combine(Path, name, name + ".json"), file);
    }
}
