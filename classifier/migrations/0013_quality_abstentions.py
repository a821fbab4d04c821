"""How an image was taken or stored is a reason not to answer."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("classifier", "0012_series"),
    ]

    operations = [
        migrations.AlterField(
            model_name="classification",
            name="abstention",
            field=models.CharField(
                blank=True,
                choices=[
                    ("no_task", "No model for this kind of study"),
                    ("no_deployed_model", "No model in use"),
                    ("no_image", "No usable image"),
                    ("route_unsure", "Body part not known"),
                    ("routed_elsewhere", "Image and header disagree"),
                    ("wrong_modality", "Another modality"),
                    ("wrong_body_part", "Another body part"),
                    ("wrong_view", "Another view"),
                    ("age_out_of_range", "Another age group"),
                    ("wrong_sex", "Another sex"),
                    ("constant_image", "Blank image"),
                    ("image_too_small", "Image too small"),
                    ("image_too_narrow", "Image too narrow"),
                    ("colour_image", "Colour image"),
                    ("grey_image", "Grey image"),
                    ("unlike_training", "Unlike known images"),
                    ("no_hounsfield_units", "CT without Hounsfield units"),
                    ("series_not_validated", "Not tested on whole series"),
                    ("too_few_levels", "Too few grey levels"),
                    ("too_compressed", "Too compressed"),
                    ("too_blurred", "Too blurred"),
                    ("too_noisy", "Too noisy"),
                    ("badly_exposed", "Badly exposed"),
                    ("cropped", "Cut off"),
                    ("too_much_border", "Too much border"),
                ],
                max_length=40,
            ),
        ),
    ]
